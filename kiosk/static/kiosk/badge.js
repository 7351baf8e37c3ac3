// Badge readers type like a keyboard, only faster, and end with Enter.

const GAP_MS = 60; // no person types this evenly fast
const FEWEST = 6; // characters of a badge's number

/** Call `take(number)` for each badge held to the reader while `listens()`. */
export function listenForBadges(listens, take) {
  let typed = "";
  let typedAt = -Infinity;
  const onKey = (event) => {
    if (event.timeStamp - typedAt > GAP_MS) typed = "";
    typedAt = event.timeStamp;
    if (event.key.length === 1 && !event.ctrlKey && !event.metaKey) typed += event.key;
    if (event.key !== "Enter") return;
    const number = typed;
    typed = "";
    if (number.length < FEWEST || !listens()) return;
    event.preventDefault();
    event.stopPropagation();
    take(number);
  };
  window.addEventListener("keydown", onKey, true);
}
