package example;

public class QuotaExceeded extends RuntimeException {
    public QuotaExceeded(String message) {
        super(message);
    }
}
