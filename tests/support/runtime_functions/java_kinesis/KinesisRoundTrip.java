import java.net.URI;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.client.config.ClientOverrideConfiguration;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.model.ResourceNotFoundException;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;

/** Arguments: endpoint, stream. Puts every byte there is, reads it back, and says on stdout what it saw. */
public final class KinesisRoundTrip {
    public static void main(String[] args) {
        String stream = args[1];
        List<String> kinds = new ArrayList<>();
        ExecutionInterceptor listener = new ExecutionInterceptor() {
            @Override
            public void beforeTransmission(Context.BeforeTransmission sent, ExecutionAttributes attributes) {
                kinds.add(sent.httpRequest().firstMatchingHeader("Content-Type").orElse("none"));
            }
        };
        try (KinesisClient kinesis = KinesisClient.builder()
                .endpointOverride(URI.create(args[0]))
                .region(Region.US_EAST_1)
                .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("test", "test")))
                .httpClientBuilder(UrlConnectionHttpClient.builder())
                .overrideConfiguration(ClientOverrideConfiguration.builder().addExecutionInterceptor(listener).build())
                .build()) {
            byte[] data = new byte[256];
            for (int i = 0; i < data.length; i++) {
                data[i] = (byte) i;
            }
            Instant before = Instant.now().minusSeconds(60);
            List<PutRecordsRequestEntry> entries = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                entries.add(PutRecordsRequestEntry.builder()
                        .data(SdkBytes.fromByteArray(data)).partitionKey("k" + i).explicitHashKey("0").build());
            }
            System.out.println("failed " + kinesis.putRecords(r -> r.streamName(stream).records(entries)).failedRecordCount());
            String iterator = kinesis.getShardIterator(r -> r.streamName(stream).shardId("shardId-000000000000")
                    .shardIteratorType(ShardIteratorType.AT_TIMESTAMP).timestamp(before)).shardIterator();
            for (Record record : kinesis.getRecords(r -> r.shardIterator(iterator)).records()) {
                boolean same = java.util.Arrays.equals(data, record.data().asByteArray());
                boolean recent = record.approximateArrivalTimestamp().isAfter(before)
                        && record.approximateArrivalTimestamp().isBefore(Instant.now().plusSeconds(60));
                System.out.println(record.partitionKey() + " " + same + " " + recent);
            }
            try {
                kinesis.describeStreamSummary(r -> r.streamName("none-such"));
            } catch (ResourceNotFoundException e) {
                System.out.println(e.awsErrorDetails().errorCode() + " " + e.statusCode());
            }
            System.out.println("kinds " + new java.util.TreeSet<>(kinds));
        }
    }
}
