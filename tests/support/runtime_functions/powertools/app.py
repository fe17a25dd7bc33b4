from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger(service="orders")
metrics = Metrics(namespace="Shop", service="orders")


@logger.inject_lambda_context(log_event=True)
@metrics.log_metrics(capture_cold_start_metric=True)
def handler(event, context):
    logger.append_keys(order=event["order"])
    logger.info("taken")
    metrics.add_metric(name="Orders", unit=MetricUnit.Count, value=event["count"])
    return {"order": event["order"]}
