//! Tokens of an identity provider: its keys by URL, through a rotation, and by file.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::service::{Service, demand};

/// Key pairs of P-256, made for these tests: PKCS #8, then both coordinates.
const KEYS: [(&str, &str, &str); 2] = [
    (
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgN0tDNSv581Oiac9+aLUKUwbOXP5vzkaafzBCpCya\
         y6GhRANCAARppusoCiSSelYzktoYGRT/QzF235/zlYusQ+qXZZX8QsgYuAULozbqD8dGDR2qJ/PBFTPLk0RpDBXV\
         ZIpF1Z3j",
        "aabrKAokknpWM5LaGBkU_0Mxdt-f85WLrEPql2WV_EI",
        "yBi4BQujNuoPx0YNHaon88EVM8uTRGkMFdVkikXVneM",
    ),
    (
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgT1MDh0xlTa6zxibpajodyIeUUwp+W6gIfU+nj/+9\
         v0yhRANCAAR8+ntS+rfqA7Ri8nU+c7nbyVfMc0BcZZGr3KP8xzfE6fP/CdaCRjlZCD4JRUvKDHju/TSIWMYRa657\
         tzdtPiOb",
        "fPp7Uvq36gO0YvJ1PnO528lXzHNAXGWRq9yj_Mc3xOk",
        "8_8J1oJGOVkIPglFS8oMeO79NIhYxhFrrnu3N20-I5s",
    ),
];
const ISSUER: &str = "https://id.example.org/";
const AUDIENCE: &str = "https://demands.example.org";

fn jwks(keys: &[usize]) -> Value {
    let key = |index: &usize| {
        let (_, x, y) = KEYS[*index];
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig",
               "kid": format!("key-{index}"), "x": x, "y": y})
    };
    // Providers publish keys for other purposes too, some of which nobody here knows.
    let foreign = json!({"kty": "OKP", "crv": "X448", "use": "enc", "kid": "other", "x": "AAAA"});
    let keys: Vec<Value> = keys.iter().map(key).chain([foreign]).collect();
    json!({"keys": keys})
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A good token signed by one of the keys, with `changes` to its claims.
fn token(key: usize, changes: &Value) -> String {
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": now(), "exp": now() + 600,
        "scope": "openid demands:read demands:write",
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    let header = Header { kid: Some(format!("key-{key}")), ..Header::new(Algorithm::ES256) };
    let der = BASE64_STANDARD.decode(KEYS[key].0).unwrap();
    encode(&header, &claims, &EncodingKey::from_ec_der(&der)).unwrap()
}

/// A provider whose keys can be changed, and how often it was asked.
#[derive(Clone)]
struct Provider {
    keys: Arc<Mutex<Vec<usize>>>,
    asked: Arc<AtomicUsize>,
    url: String,
}

impl Provider {
    async fn start() -> Self {
        let (keys, asked) = (Arc::new(Mutex::new(vec![0])), Arc::new(AtomicUsize::new(0)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let provider = Self { keys, asked, url };
        let told = provider.clone();
        let answer = move || {
            told.asked.fetch_add(1, Ordering::SeqCst);
            let keys = jwks(&told.keys.lock().unwrap());
            async move { Json(keys) }
        };
        let router = Router::new().route("/jwks", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        provider
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn service(key: &str, value: &str) -> Service {
    Service::start_with(&[
        ("DEMAND_AUTH__JWT__ISSUER", ISSUER),
        ("DEMAND_AUTH__JWT__AUDIENCE", AUDIENCE),
        (key, value),
    ])
    .await
}

async fn list(service: &Service, token: &str) -> Response {
    service.get("/demands").bearer_auth(token).send().await.unwrap()
}

#[tokio::test]
async fn a_providers_token_is_taken_for_its_subject_and_scopes() {
    let provider = Provider::start().await;
    let service = service("DEMAND_AUTH__JWT__JWKS", &provider.url).await;
    let good = token(0, &json!({}));
    let request = service.post("/demands").bearer_auth(&good).json(&demand("anns", "true"));
    let document: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(document["submitted_by"], "ann");
    for scopes in
        [json!({"scope": null, "scp": ["demands:read"]}), json!({"scope": "demands:admin"})]
    {
        assert_eq!(list(&service, &token(0, &scopes)).await.status(), StatusCode::OK);
    }
    let useless = token(0, &json!({"scope": "openid profile"}));
    assert_eq!(list(&service, &useless).await.status(), StatusCode::FORBIDDEN);
    // The keys were asked for once.
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn tokens_that_are_not_of_now_not_for_us_or_not_signed_are_refused_with_the_reason() {
    let provider = Provider::start().await;
    let service = service("DEMAND_AUTH__JWT__JWKS", &provider.url).await;
    let unsigned = {
        let good = token(0, &json!({}));
        let (content, _) = good.rsplit_once('.').unwrap();
        let (_, claims) = content.split_once('.').unwrap();
        format!("eyJhbGciOiJub25lIn0.{claims}.")
    };
    let forged = {
        let (content, _) = token(0, &json!({})).rsplit_once('.').map(own).unwrap();
        let (_, signature) = token(0, &json!({"sub": "bob"})).rsplit_once('.').map(own).unwrap();
        format!("{content}.{signature}")
    };
    for (token, why) in [
        (token(0, &json!({"exp": now() - 120})), "expired"),
        (token(0, &json!({"nbf": now() + 600})), "not valid yet"),
        (token(0, &json!({"iss": "https://elsewhere.example.org/"})), "another issuer"),
        (token(0, &json!({"aud": "https://other.example.org"})), "another audience"),
        (token(0, &json!({"exp": null})), "no `exp`"),
        (token(0, &json!({"sub": "token:root"})), "no subject"),
        (unsigned, "no JSON Web Token"),
        (forged, "no key of the provider"),
        (token(1, &json!({})), "no key of the provider"),
    ] {
        let response = list(&service, &token).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{why}");
        let problem: Value = response.json().await.unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(why), "{why}: {problem}");
    }
}

fn own((one, other): (&str, &str)) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

#[tokio::test]
async fn keys_in_a_file_are_read_again_when_it_changes() {
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("jwks.json");
    std::fs::write(&file, jwks(&[0]).to_string()).unwrap();
    let service = service("DEMAND_AUTH__JWT__JWKS", file.to_str().unwrap()).await;
    let (old, new) = (token(0, &json!({})), token(1, &json!({})));
    assert_eq!(list(&service, &old).await.status(), StatusCode::OK);
    assert_eq!(list(&service, &new).await.status(), StatusCode::UNAUTHORIZED);
    std::fs::write(&file, jwks(&[1]).to_string()).unwrap();
    assert_eq!(list(&service, &new).await.status(), StatusCode::OK);
    assert_eq!(list(&service, &old).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_rotated_key_is_asked_for_and_one_that_is_made_up_is_not_asked_for_again() {
    let provider = Provider::start().await;
    let service = service("DEMAND_AUTH__JWT__JWKS", &provider.url).await;
    *provider.keys.lock().unwrap() = vec![0, 1];
    assert_eq!(list(&service, &token(1, &json!({}))).await.status(), StatusCode::OK);
    assert_eq!(list(&service, &token(0, &json!({}))).await.status(), StatusCode::OK);
    let asked = provider.asked();
    let made_up = token(0, &json!({})).replacen(
        token(0, &json!({})).split('.').next().unwrap(),
        // {"alg":"ES256","kid":"made-up"}
        "eyJhbGciOiJFUzI1NiIsImtpZCI6Im1hZGUtdXAifQ",
        1,
    );
    for _ in 0..5 {
        assert_eq!(list(&service, &made_up).await.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(provider.asked(), asked, "a made-up key shall not have the provider hammered");
}

#[tokio::test]
async fn a_provider_that_cannot_be_asked_is_no_fault_of_the_caller() {
    let service = service("DEMAND_AUTH__JWT__JWKS", "http://127.0.0.1:9/jwks").await;
    let response = list(&service, &token(0, &json!({}))).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
}
