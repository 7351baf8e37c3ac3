// The page of a model change: follows the photos that are being embedded.

const EVERY_MS = 2000;

function shown() {
  return document.getElementById("model-change");
}

/** Replace what is shown by a freshly loaded page's, so that it is drawn in one place only. */
async function redraw() {
  const answer = await fetch(location.href, { credentials: "same-origin" });
  if (!answer.ok || answer.redirected) return false; // logged out, or no longer allowed
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("model-change");
  if (fresh) shown().replaceWith(fresh);
  return Boolean(fresh);
}

async function follow() {
  while (shown().dataset.moving === "yes") {
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    if (document.hidden) continue;
    try {
      if (!(await redraw())) return;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // the server is away: ask again
    }
  }
}

if (shown()) follow();
