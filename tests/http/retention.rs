//! What is kept, and for how long.

use reqwest::StatusCode;

use crate::service::{PATIENCE, Service, demand};

#[tokio::test]
async fn a_demand_is_gone_some_time_after_its_end_and_one_under_way_never() {
    let service = Service::start_with(&[("DEMAND_STORE__RETENTION", "2s")]).await;
    let running = service.accepted(&demand("running", "sleep 60")).await;
    service.accepted(&demand("short", "true")).await;
    let gone = async {
        while service.get("/demands/short").send().await.unwrap().status() != StatusCode::NOT_FOUND
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it is not kept");
    for path in ["/demands/short/plan", "/demands/short/events", "/demands/short/logs"] {
        let looked = service.get(path).send().await.unwrap();
        assert_eq!(looked.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let looked = service.get(&format!("/demands/{running}")).send().await.unwrap();
    assert_eq!(looked.status(), StatusCode::OK);
    service.post(&format!("/demands/{running}/cancel")).send().await.unwrap();
}
