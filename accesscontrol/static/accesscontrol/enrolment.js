// The enrolment part of an employee's page: follows photos that are being checked.

const EVERY_MS = 1500;
const GIVE_UP_MS = 10 * 60 * 1000;

function shownList() {
  return document.getElementById("enrolment-photos");
}

function waitingIn(list) {
  return list.querySelector('[data-status="PENDING"]') !== null;
}

/** Whether the page shows each photo as the server has it. */
function isCurrent(list, photos) {
  const shown = [...list.querySelectorAll("[data-photo]")];
  return (
    shown.length === photos.length &&
    photos.every(
      (photo, index) =>
        shown[index].dataset.photo === photo.id && shown[index].dataset.status === photo.status,
    )
  );
}

/** Replace the list by the one of a freshly loaded page, so that it is drawn in one place only. */
async function redraw() {
  const answer = await fetch(location.href, { credentials: "same-origin" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("enrolment-photos");
  if (fresh) shownList().replaceWith(fresh);
}

async function follow(stateUrl) {
  const until = Date.now() + GIVE_UP_MS;
  while (waitingIn(shownList()) && Date.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    try {
      const answer = await fetch(stateUrl, { credentials: "same-origin" });
      if (!answer.ok || answer.redirected) return; // logged out, or no longer allowed
      const { photos } = await answer.json();
      if (!isCurrent(shownList(), photos)) await redraw();
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // the server is away: ask again
    }
  }
}

function limitFiles(form) {
  const input = form.querySelector('input[type="file"]');
  // Unfold's own listener looks for the text field of its file widget, which is not here.
  input.hasChangeListener = true;
  input.addEventListener("change", () => {
    const tooMany = input.files.length > Number(form.dataset.maxFiles);
    input.setCustomValidity(tooMany ? form.dataset.tooMany : "");
    if (tooMany) input.reportValidity();
  });
}

document.querySelectorAll("form[data-max-files]").forEach(limitFiles);
if (shownList()) follow(shownList().dataset.stateUrl);
