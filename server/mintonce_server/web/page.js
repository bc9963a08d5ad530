"use strict";
(() => {
  const EVERY = 5000;
  const box = document.getElementById("refresh");
  const stale = document.getElementById("stale");
  let timer = 0;
  let asked = null;

  // Makes `old` equal to `fresh`, and touches only what differs: focus, scroll and open parts stay as they are.
  function morph(old, fresh) {
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    for (const { name } of [...old.attributes]) if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
    let at = old.firstChild;
    for (const next of [...fresh.childNodes]) {
      const same = next.id ? [...old.children].find((child) => child.id === next.id) : null;
      if (same && same !== at) { old.insertBefore(same, at); at = same; }
      if (!at || at.nodeName !== next.nodeName || (at.id || "") !== (next.id || "")) old.insertBefore(next, at);
      else {
        const done = at;
        at = at.nextSibling;
        if (done.nodeType !== Node.ELEMENT_NODE) { if (done.data !== next.data) done.data = next.data; }
        else if (done.nodeName !== "FORM") morph(done, next);
      }
    }
    while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
  }

  function say(text) {
    if (stale.textContent !== text) stale.textContent = text;
    stale.hidden = !text;
  }

  async function refresh() {
    asked = new AbortController();
    const late = setTimeout(() => asked.abort(), EVERY);
    const main = document.querySelector("main");
    try {
      const query = new URLSearchParams(location.search);
      query.set("fragment", "1");
      const answer = await fetch(`/status?${query}`, { signal: asked.signal, cache: "no-store" });
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
      morph(main, fresh);
      document.title = main.dataset.title;
      say("");
    } catch (error) {
      const why = error.message.startsWith("HTTP") ? error.message : "no answer";
      if (box.checked && !document.hidden) say(`Not refreshed since ${main.dataset.asOf} (${why}).`);
    } finally {
      clearTimeout(late);
      plan();
    }
  }

  function plan(wait = EVERY) {
    clearTimeout(timer);
    if (box.checked && !document.hidden) timer = setTimeout(refresh, wait);
  }

  box.addEventListener("change", () => { if (!box.checked) say(""); plan(0); });
  document.addEventListener("visibilitychange", () => plan(0));
  box.parentElement.hidden = false;
  plan();
})();
