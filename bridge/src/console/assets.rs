//! The files that are built in.

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::refused::Refused;

const FILES: [(&str, &str, &[u8]); 6] = [
    ("console.css", "text/css; charset=utf-8", include_bytes!("../../assets/console.css")),
    ("console.js", "text/javascript; charset=utf-8", include_bytes!("../../assets/console.js")),
    ("htmx.min.js", "text/javascript; charset=utf-8", include_bytes!("../../assets/htmx.min.js")),
    ("sse.min.js", "text/javascript; charset=utf-8", include_bytes!("../../assets/sse.min.js")),
    ("icon.svg", "image/svg+xml", include_bytes!("../../assets/icon.svg")),
    ("LICENSES.txt", "text/plain; charset=utf-8", include_bytes!("../../assets/LICENSES.txt")),
];

/// One of them. Asked for with the version in the address, so that a browser may keep it.
pub(super) async fn asset(Path(name): Path<String>) -> Response {
    match FILES.into_iter().find(|(known, ..)| *known == name) {
        Some((_, media_type, bytes)) => {
            let headers =
                [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "private, max-age=3600")];
            (headers, bytes).into_response()
        }
        None => Refused::NotFound("page".to_owned()).into_response(),
    }
}
