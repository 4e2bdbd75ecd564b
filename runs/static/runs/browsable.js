// Sends the raw form of the browsable API and stays on the page when the answer is a problem.
// The form's own script would go back to the list and lose what the problem said.
document.addEventListener(
  "submit",
  async (event) => {
    const content = event.target.querySelector('[data-override="content"]');
    if (!content) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const response = await fetch(event.target.action, {
      method: event.target.dataset.method || "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: content.value,
    });
    const location = response.headers.get("Location");
    if (response.ok && location) {
      window.location.assign(location);
      return;
    }
    let answer = document.getElementById("answer");
    if (!answer) {
      answer = document.createElement("pre");
      answer.id = "answer";
      answer.setAttribute("role", "alert");
      event.target.append(answer);
    }
    const text = await response.text();
    answer.textContent = `HTTP ${response.status}\n${pretty(text)}`;
  },
  { capture: true },
);

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
