"""Queues as event sources: SQS at any endpoint, and RabbitMQ as Amazon MQ's."""
