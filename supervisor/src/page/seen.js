// Whether somebody can see the page.

/** Resolves as soon as somebody can; at once where that is so. */
export async function whenSeen() {
  while (document.hidden) {
    await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
  }
}

/** Calls `listener` each time when nobody can any more; returns how to stop it. */
export function whenHidden(listener) {
  const changed = () => document.hidden && listener();
  document.addEventListener("visibilitychange", changed);
  return () => document.removeEventListener("visibilitychange", changed);
}
