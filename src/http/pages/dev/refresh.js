
// Replaces the list when it has changed, so that a selection survives.
setInterval(async () => {
  try {
    const answer = await fetch("/dev", { cache: "no-store" });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    const shown = document.querySelector("main");
    if (answer.ok && fresh && fresh.innerHTML !== shown.innerHTML) shown.replaceWith(fresh);
  } catch {
    // The service is down; the next turn asks again.
  }
}, 2000);
