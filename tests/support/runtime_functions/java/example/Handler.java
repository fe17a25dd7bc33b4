package example;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.lang.reflect.Field;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

public class Handler implements RequestHandler<Map<String, Object>, Object> {
    public Handler() throws InterruptedException {
        if (System.getenv("FAIL_INIT") != null) throw new IllegalArgumentException("no start");
        String slow = System.getenv("SLOW_INIT_S");
        if (slow != null) Thread.sleep((long) (1000 * Double.parseDouble(slow)));
    }

    @Override
    public Object handleRequest(Map<String, Object> event, Context context) {
        try {
            return answer(event, context);
        } catch (RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new RuntimeException(e);
        }
    }

    private static Object answer(Map<String, Object> event, Context context) throws Exception {
        switch ((String) event.get("do")) {
            case "raise":
                return List.of().get(3);
            case "custom":
                throw new QuotaExceeded("no more");
            case "sleep":
                Thread.sleep((long) (1000 * ((Number) event.get("seconds")).doubleValue()));
                return event;
            case "exit":
                System.exit(((Number) event.get("code")).intValue());
                return null;
            case "grow":
                return grow();
            case "context":
                return fields(context);
            case "tmp":
                Path counter = Path.of("/tmp/count");
                int count = Files.exists(counter) ? Integer.parseInt(Files.readString(counter)) + 1 : 1;
                Files.writeString(counter, String.valueOf(count));
                return count;
            default:
                return event;
        }
    }

    /** Outside the heap, whose limit the JVM knows. */
    private static Object grow() throws Exception {
        Field field = sun.misc.Unsafe.class.getDeclaredField("theUnsafe");
        field.setAccessible(true);
        sun.misc.Unsafe unsafe = (sun.misc.Unsafe) field.get(null);
        while (true) unsafe.setMemory(unsafe.allocateMemory(8 << 20), 8 << 20, (byte) 'x');
    }

    private static Map<String, Object> fields(Context context) {
        Map<String, Object> found = new LinkedHashMap<>();
        found.put("stage", System.getenv("STAGE"));
        found.put("region", System.getenv("AWS_REGION"));
        found.put("name", context.getFunctionName());
        found.put("version", context.getFunctionVersion());
        found.put("memory", context.getMemoryLimitInMB());
        found.put("request_id", context.getAwsRequestId());
        found.put("arn", context.getInvokedFunctionArn());
        found.put("remaining_ms", context.getRemainingTimeInMillis());
        return found;
    }
}
