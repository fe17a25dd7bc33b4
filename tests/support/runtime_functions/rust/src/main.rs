use std::time::Duration;
use std::{env, fs, process, thread};

use lambda_runtime::{run, service_fn, Context, Diagnostic, Error, LambdaEvent};
use serde_json::{json, Value};

/// Tells its own type; others are told by their Rust name.
struct QuotaExceeded(&'static str);

impl From<QuotaExceeded> for Diagnostic {
    fn from(error: QuotaExceeded) -> Diagnostic {
        Diagnostic { error_type: "QuotaExceeded".into(), error_message: error.0.into() }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if env::var("FAIL_INIT").is_ok() {
        process::exit(3);
    }
    if let Ok(slow) = env::var("SLOW_INIT_S") {
        thread::sleep(Duration::from_secs_f64(slow.parse()?));
    }
    run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
    let (given, context) = event.into_parts();
    match given["do"].as_str() {
        Some("raise") => {
            fs::read_to_string("/absent")?;
        }
        Some("custom") => return Err(QuotaExceeded("no more").into()),
        Some("sleep") => {
            let seconds = given["seconds"].as_f64().unwrap_or(0.0);
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        }
        Some("exit") => process::exit(given["code"].as_i64().unwrap_or(1) as i32),
        Some("grow") => {
            let mut held = Vec::new();
            loop {
                held.push(vec![b'x'; 8 << 20]);
            }
        }
        Some("context") => return Ok(fields(&context)),
        Some("tmp") => {
            let count = fs::read_to_string("/tmp/count").map_or(1, |text| text.parse::<u64>().unwrap_or(0) + 1);
            fs::write("/tmp/count", count.to_string())?;
            return Ok(json!(count));
        }
        _ => {}
    }
    Ok(given)
}

fn fields(context: &Context) -> Value {
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    json!({
        "stage": env::var("STAGE").ok(),
        "region": env::var("AWS_REGION").ok(),
        "name": context.env_config.function_name,
        "version": context.env_config.version,
        "memory": context.env_config.memory,
        "request_id": context.request_id,
        "arn": context.invoked_function_arn,
        "remaining_ms": context.deadline.saturating_sub(now_ms),
    })
}
