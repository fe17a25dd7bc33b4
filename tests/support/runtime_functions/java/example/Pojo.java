package example;

/** A handler without any interface: AWS's client finds the method and maps its types. */
public class Pojo {
    public static class Order {
        private String item;
        private int count;

        public String getItem() { return item; }
        public void setItem(String item) { this.item = item; }
        public int getCount() { return count; }
        public void setCount(int count) { this.count = count; }
    }

    public Order twice(Order order) {
        order.setCount(2 * order.getCount());
        return order;
    }
}
