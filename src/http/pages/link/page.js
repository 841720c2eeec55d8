// The secret stands behind the #, which no server sees. It is taken out of the address, so that no history keeps it.
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
const part = (id) => document.getElementById(id);
const base = location.pathname.replace(/\/$/, "");

// The secret leaves only in the body of a request to this server.
async function ask(path) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { accept: "application/json" },
    body: new URLSearchParams({ token }),
    credentials: "same-origin",
    redirect: "error",
  });
  return answer.json();
}

// Values come in as text and never as markup.
function show(said) {
  document.documentElement.lang = said.language;
  document.documentElement.dir = said.direction;
  document.title = `${said.heading} · ${said.brand}`;
  part("brand").textContent = said.brand;
  part("heading").textContent = said.heading;
  part("more").textContent = said.more;
  const summary = said.summary ?? { what: "", title: "", details: [] };
  part("what").hidden = !said.summary;
  part("label").textContent = summary.what;
  part("title").textContent = summary.title;
  part("details").replaceChildren(...summary.details.flatMap(([label, value]) => {
    // A value in a script of the other direction stands by itself.
    const [term, detail, apart] = ["dt", "dd", "bdi"].map((tag) => document.createElement(tag));
    term.textContent = label;
    apart.textContent = value;
    detail.append(apart);
    return [term, detail];
  }));
  part("ask").hidden = !said.button;
  if (said.button) part("button").textContent = said.button;
  for (const id of ["brand", "said"]) part(id).hidden = false;
}

function failed() {
  for (const id of ["said", "ask"]) part(id).hidden = true;
  for (const id of ["brand", "later"]) part(id).hidden = false;
}

part("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  part("button").disabled = true;
  ask(base).then(show, failed);
});
if (token) {
  for (const id of ["brand", "said"]) part(id).hidden = false;
  ask(`${base}/details`).then(show, failed);
} else {
  for (const id of ["brand", "incomplete"]) part(id).hidden = false;
}
