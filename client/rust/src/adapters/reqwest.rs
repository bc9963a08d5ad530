use http::{Extensions, StatusCode, header::AUTHORIZATION};
use reqwest_middleware::{
    Error as MiddlewareError, Middleware, Next,
    reqwest::{Request, Response},
};

use crate::{Token, TokenSource, adapters::log};

/// Sends the source's token. After a 401 it rejects the token and repeats the request once with the successor.
///
/// A request whose body is a stream is not repeated, since it has been read; the token is still rejected. If there is no
/// successor, the API's own 401 is returned. After a redirect to another host, where reqwest does not send the token, a
/// 401 says nothing about it.
///
/// ```no_run
/// # async fn example(source: mintonce::TokenSource) -> Result<(), Box<dyn std::error::Error>> {
/// use mintonce::MintonceMiddleware;
/// use reqwest_middleware::{ClientBuilder, reqwest};
///
/// let api = ClientBuilder::new(reqwest::Client::new()).with(MintonceMiddleware::new(&source)).build();
/// let response = api.get("https://api.example.com/invoices").send().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MintonceMiddleware {
    source: TokenSource,
}

impl MintonceMiddleware {
    /// For requests to one API.
    #[must_use]
    pub fn new(source: &TokenSource) -> Self {
        Self {
            source: source.clone(),
        }
    }
}

#[tonic::async_trait]
impl Middleware for MintonceMiddleware {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let token = self.source.get().await.map_err(MiddlewareError::middleware)?;
        let (repeat, url) = (request.try_clone(), request.url().clone());
        authorize(&mut request, &token);
        let response = next.clone().run(request, extensions).await?;
        if response.status() != StatusCode::UNAUTHORIZED || *response.url() != url {
            // After a redirect, nobody knows whether the header was still there.
            return Ok(response);
        }
        let successor = match self.source.reject(&token).await {
            Ok(successor) => successor,
            Err(error) => {
                log::not_replaced(&error);
                return Ok(response);
            }
        };
        let Some(mut request) = repeat else {
            return Ok(response);
        };
        drop(response); // its connection is free for the repetition
        authorize(&mut request, &successor);
        next.run(request, extensions).await
    }
}

fn authorize(request: &mut Request, token: &Token) {
    request
        .headers_mut()
        .insert(AUTHORIZATION, token.header_value().clone());
}
