//! A call of a gRPC API with the source's credentials.

use mintonce::{MintonceInterceptor, TokenSource};
use serde_json::{Value, json};
use tonic::{
    Request, Status,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    service::interceptor::InterceptedService,
    transport::{Certificate, ClientTlsConfig, Endpoint},
};
use tonic_prost::ProstCodec;

use crate::answers::{Failure, name_of};

pub(crate) async fn call(source: &TokenSource, request: &Value) -> Result<Value, Failure> {
    let target = request["target"].as_str().unwrap_or_default();
    let tls = &request["tls"];
    let scheme = if tls.is_null() { "http" } else { "https" };
    let testee = |error: &dyn std::fmt::Display| Failure::class("Testee", &error.to_string());
    let mut endpoint =
        Endpoint::from_shared(format!("{scheme}://{target}")).map_err(|error| testee(&error))?;
    if !tls.is_null() {
        let mut config = ClientTlsConfig::new();
        if let Some(path) = tls["ca_file"].as_str() {
            config = config.ca_certificate(Certificate::from_pem(
                std::fs::read(path).map_err(|error| testee(&error))?,
            ));
        }
        if let Some(name) = tls["server_name"].as_str() {
            config = config.domain_name(name);
        }
        endpoint = endpoint.tls_config(config).map_err(|error| testee(&error))?;
    }
    let interceptor = MintonceInterceptor::new(source, endpoint.uri())?;
    let mut grpc = Grpc::new(InterceptedService::new(endpoint.connect_lazy(), interceptor));
    let path = PathAndQuery::from_static("/mintonce.v1.TokenService/GetToken");
    let answer: Result<(), Status> = async {
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        grpc.unary(Request::new(()), path, ProstCodec::<(), ()>::default())
            .await?;
        Ok(())
    }
    .await;
    Ok(json!({ "code": name_of(answer.map_or_else(|status| status.code(), |()| tonic::Code::Ok)) }))
}
