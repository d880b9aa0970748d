//! The DemandExecution model: wire shape to valid values. PURE.
