package hearth;

import com.amazonaws.services.lambda.runtime.api.client.runtimeapi.JniHelper;
import com.amazonaws.services.lambda.runtime.serialization.PojoSerializer;
import com.amazonaws.services.lambda.runtime.serialization.factories.JacksonFactory;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.RandomAccessFile;
import java.lang.reflect.Constructor;
import java.net.Socket;
import java.net.URLClassLoader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.Security;
import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;

/**
 * Boots a JVM and AWS's runtime client with nothing of a function's, and becomes a function once it is told which.
 *
 * It asks the Runtime API's address for its function; the answer is the function's environment. Java reads its
 * environment once, when it is first asked for a variable, and can't set any: so the answer is written to where the
 * kernel put the variables that this process was started with, before anything has asked. They are there to make room.
 * What a function starts, gets them from the same place.
 */
public final class Cell {
    private static final String CLIENT = "com.amazonaws.services.lambda.runtime.api.client.";
    private static final String JARS = "/aws-lambda-java-";
    private static final String PACKAGE = "com/amazonaws/services/lambda/";
    private static final String ADDRESS = "127.0.0.1";
    private static final int PORT = 9001;
    private static final int ROUNDS = 20;
    /** They read no variable; AWSLambda and LambdaEnvironment do. */
    private static final String[] INITIALISED = {
        CLIENT + "EventHandlerLoader",
        CLIENT + "HandlerInfo",
        CLIENT + "logging.LambdaContextLogger",
        CLIENT + "logging.StdOutLogSink",
        CLIENT + "logging.TextLogFormatter",
        CLIENT + "runtimeapi.LambdaRuntimeApiClientImpl",
        CLIENT + "util.UnsafeUtil",
        "com.amazonaws.services.lambda.runtime.logging.LogFormat",
        "com.amazonaws.services.lambda.runtime.logging.LogLevel",
        "com.amazonaws.services.lambda.runtime.serialization.util.ReflectUtil",
    };

    public static void main(String[] arguments) throws Throwable {
        ClassLoader loader = Cell.class.getClassLoader();
        link(loader);
        rehearse(loader);
        byte[] environment = ask();
        if (environment == null) return;
        replaceEnvironment(environment);
        String handler = System.getenv("_HANDLER");
        if (handler == null) throw new IllegalStateException("the environment was read before it was there");
        Class<?> client = Class.forName(CLIENT + "AWSLambda");
        client.getMethod("main", String[].class).invoke(null, (Object) new String[] {handler});
    }

    /** Loads all of AWS's client, and links it: that is what a class does when it is asked for its methods. */
    private static void link(ClassLoader loader) throws Exception {
        for (String jar : System.getProperty("java.class.path").split(":")) {
            if (!jar.contains(JARS)) continue;
            try (JarFile file = new JarFile(jar)) {
                for (JarEntry entry : Collections.list(file.entries())) {
                    String name = entry.getName();
                    if (!name.startsWith(PACKAGE) || !name.endsWith(".class")) continue;
                    try {
                        String type = name.substring(0, name.length() - ".class".length()).replace('/', '.');
                        Class.forName(type, false, loader).getDeclaredMethods();
                    } catch (LinkageError missing) {
                        // What it needs is optional, and not there for functions either.
                    }
                }
            }
        }
    }

    /** Does what serving a function takes, but for what looks for the function's own classes (PojoSerializerLoader). */
    private static void rehearse(ClassLoader loader) throws Exception {
        byte[] document = "{\"a\":[1,2.5,null,true],\"b\":{\"c\":\"d\"}}".getBytes(StandardCharsets.UTF_8);
        PojoSerializer<Map> serializer = JacksonFactory.getInstance().getSerializer(Map.class);
        for (int round = 0; round < ROUNDS; round++) {
            serializer.toJson(serializer.fromJson(new ByteArrayInputStream(document)), new ByteArrayOutputStream());
        }
        JniHelper.load();
        for (String name : INITIALISED) Class.forName(name, true, loader);
        // To what it is: the machinery of changing one is loaded then.
        String property = "networkaddress.cache.negative.ttl";
        if (Security.getProperty(property) != null) Security.setProperty(property, Security.getProperty(property));
        Constructor<?> packages = Class.forName(CLIENT + "CustomerClassLoader")
            .getDeclaredConstructor(String.class, String.class, ClassLoader.class);
        packages.setAccessible(true);
        try (URLClassLoader nothing = (URLClassLoader) packages.newInstance("/var/task", "/opt/java", loader)) {
            nothing.loadClass("hearth.Nothing");
        } catch (ClassNotFoundException expected) {
            // No function is there yet.
        }
    }

    /** Waits, for as long as it takes, to be told which function it is; null: it will be none. */
    private static byte[] ask() throws IOException {
        try (Socket link = new Socket(ADDRESS, PORT)) {
            byte[] call = "GET /hearth/cell HTTP/1.1\r\nHost: sandbox\r\n\r\n".getBytes(StandardCharsets.US_ASCII);
            link.getOutputStream().write(call);
            ByteArrayOutputStream answer = new ByteArrayOutputStream();
            byte[] piece = new byte[65536];
            InputStream in = link.getInputStream();
            for (int length; (length = in.read(piece)) > 0;) answer.write(piece, 0, length);
            String text = answer.toString("ISO-8859-1");
            if (!text.startsWith("HTTP/1.1 200 ")) return null;
            return Arrays.copyOfRange(answer.toByteArray(), text.indexOf("\r\n\r\n") + 4, answer.size());
        }
    }

    /**
     * Variables as NAME=value, each ended by a NUL. Throws IOException when they are more, or longer, than those that
     * are there.
     *
     * Source: proc_pid_stat(5), startstack, env_start and env_end; the System V ABI's initial stack: argc, the
     * arguments' addresses, 0, the variables' addresses, 0.
     */
    private static void replaceEnvironment(byte[] environment) throws IOException {
        String[] stat;
        try (RandomAccessFile file = new RandomAccessFile("/proc/self/stat", "r")) {
            String line = file.readLine();
            stat = ("0 name " + line.substring(line.lastIndexOf(')') + 2)).split(" ");
        }
        long stack = Long.parseUnsignedLong(stat[28 - 1]);
        long start = Long.parseUnsignedLong(stat[50 - 1]);
        int room = (int) (Long.parseUnsignedLong(stat[51 - 1]) - start);
        try (RandomAccessFile memory = new RandomAccessFile("/proc/self/mem", "rw")) {
            memory.seek(stack);
            long first = stack + 8 * (nativeLong(memory.readLong()) + 2);
            memory.seek(first);
            int places = 0;
            while (memory.readLong() != 0) places++;
            ByteBuffer addresses = ByteBuffer.allocate(8 * (places + 1)).order(ByteOrder.nativeOrder());
            for (int at = 0; at < environment.length; at++) {
                if (at > 0 && environment[at - 1] != 0) continue;
                if (addresses.remaining() == 8) throw new IOException("too many variables");
                addresses.putLong(start + at);
            }
            if (environment.length > room) throw new IOException("too long variables");
            memory.seek(start);
            memory.write(Arrays.copyOf(environment, room));
            memory.seek(first);
            memory.write(addresses.array());
        }
    }

    private static long nativeLong(long bigEndian) {
        return ByteOrder.nativeOrder() == ByteOrder.BIG_ENDIAN ? bigEndian : Long.reverseBytes(bigEndian);
    }
}
