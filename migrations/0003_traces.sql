-- Where the trace of a demand goes on, as a W3C traceparent; NULL where it is not traced.
ALTER TABLE demands ADD COLUMN traceparent TEXT;
