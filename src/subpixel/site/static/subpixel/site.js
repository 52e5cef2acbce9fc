// Counts clocks down by the server's time, marks the reader's own team in a board that was renewed, and asks before
// what cannot be undone. Pages work without it.
"use strict";
(() => {
  const body = document.body;
  const ahead = body.dataset.now ? Date.parse(body.dataset.now) - Date.now() : 0;

  function countdown(element) {
    const seconds = Math.max(0, Math.floor((Date.parse(element.dataset.until) - Date.now() - ahead) / 1000));
    const [days, hours, minutes] = [seconds / 86400, (seconds / 3600) % 24, (seconds / 60) % 60].map(Math.floor);
    const two = (number) => String(number).padStart(2, "0");
    const words = body.dataset;
    element.textContent = days
      ? `${days} ${words.days} ${two(hours)} ${words.hours} ${two(minutes)} ${words.minutes}`
      : `${two(hours)} ${words.hours} ${two(minutes)} ${words.minutes} ${two(seconds % 60)} ${words.seconds}`;
  }
  const clocks = [...document.querySelectorAll("[data-until]")];
  const tick = () => clocks.forEach(countdown);
  if (clocks.length) {
    tick();
    setInterval(tick, 1000);
  }

  // What came is what is there: left alone, so that a selection of text stays.
  let last = "";
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.serverResponse === last) event.detail.shouldSwap = false;
    last = event.detail.serverResponse;
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    const own = event.target.dataset.own;
    document.getElementById(`team-${own}`)?.classList.add("own");
  });

  document.addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.ask;
    if (question && !window.confirm(question)) event.preventDefault();
  });
})();
