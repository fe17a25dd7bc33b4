"""The door to RabbitMQ: connections, topology, envelopes, the Invoker. Only importer of pika."""
