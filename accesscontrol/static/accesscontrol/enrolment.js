// The enrolment part of an employee's page: follows photos that are being checked.

const EVERY_MS = 1500;
const GIVE_UP_MS = 10 * 60 * 1000;

function waitingIn(list) {
  return list.querySelector('[data-status="PENDING"]') !== null;
}

/** Replace the list by the one of a freshly loaded page, so that it is drawn in one place only. */
async function redraw() {
  const answer = await fetch(location.href, { credentials: "same-origin" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("enrolment-photos");
  if (fresh) document.getElementById("enrolment-photos").replaceWith(fresh);
}

async function follow(list) {
  const until = Date.now() + GIVE_UP_MS;
  let known = null;
  while (waitingIn(document.getElementById("enrolment-photos")) && Date.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    try {
      const answer = await fetch(list.dataset.stateUrl, { credentials: "same-origin" });
      if (!answer.ok) return; // logged out, or no longer allowed
      const state = await answer.text();
      const waiting = JSON.parse(state).waiting;
      if (state !== known && (known !== null || waiting === 0)) await redraw();
      known = state;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // the server is away: ask again
    }
  }
}

function limitFiles(form) {
  const input = form.querySelector('input[type="file"]');
  input.addEventListener("change", () => {
    const tooMany = input.files.length > Number(form.dataset.maxFiles);
    input.setCustomValidity(tooMany ? form.dataset.tooMany : "");
    if (tooMany) input.reportValidity();
  });
}

document.querySelectorAll("form[data-max-files]").forEach(limitFiles);
const list = document.getElementById("enrolment-photos");
if (list) follow(list);
