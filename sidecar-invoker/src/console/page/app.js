const list = document.getElementById("invocations");
const detail = document.getElementById("detail");
const items = new Map();

function show(invocation) {
  let item = items.get(invocation.id);
  if (!item) {
    item = document.createElement("li");
    const button = document.createElement("button");
    button.addEventListener("click", async () => {
      const response = await fetch(`api/invocations/${invocation.id}`);
      detail.textContent = JSON.stringify(await response.json(), null, 2);
    });
    item.append(button);
    items.set(invocation.id, item);
    list.prepend(item);
  }
  item.firstChild.textContent =
    `${invocation.function} ${invocation.method ?? ""} ${invocation.target ?? ""} ${invocation.status ?? "…"}`;
}

const stream = new EventSource("api/stream");
stream.addEventListener("invocation", (event) => show(JSON.parse(event.data)));
stream.addEventListener("cleared", () => {
  items.clear();
  list.replaceChildren();
});
