// The device's key: ECDSA P-256, made here, kept by the browser so that no script can read it.

const DATABASE = "gatehouse";
const STORE = "identity";
const RECORD = "kiosk";
const CONTEXT = new TextEncoder().encode("gatehouse kiosk proof v1\0");
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };

/** A new key pair whose private half cannot be exported. */
export function newKeyPair() {
  return crypto.subtle.generateKey(ALGORITHM, false, ["sign", "verify"]);
}

/** SubjectPublicKeyInfo in base64. */
export async function publicKeyOf(pair) {
  return toBase64(await crypto.subtle.exportKey("spki", pair.publicKey));
}

/** Sign the server's nonce (base64); returns r and s in base64. */
export async function prove(identity, nonce) {
  const message = joined(CONTEXT, uuidBytes(identity.kiosk), fromBase64(nonce));
  const how = { name: "ECDSA", hash: "SHA-256" };
  return toBase64(await crypto.subtle.sign(how, identity.privateKey, message));
}

/** {kiosk, name, site, privateKey}, or undefined if this device is not paired. */
export async function loadIdentity() {
  return inStore("readonly", (store) => store.get(RECORD));
}

export async function saveIdentity(identity) {
  await inStore("readwrite", (store) => store.put(identity, RECORD));
  // Asks the browser not to throw the key away when space runs short.
  await navigator.storage?.persist?.();
}

async function inStore(mode, act) {
  const database = await opened();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function uuidBytes(uuid) {
  const pairs = uuid.replaceAll("-", "").match(/../g);
  return Uint8Array.from(pairs, (pair) => parseInt(pair, 16));
}

function joined(...parts) {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function toBase64(buffer) {
  return btoa(String.fromCharCode(...new Uint8Array(buffer)));
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
