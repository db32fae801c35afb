// Begins the interactive reference. Whoever is logged in on the page is logged in here too: the cookie goes along by itself, and what
// changes something needs the session's token against forged requests in a header.
"use strict";

async function withSession(request) {
  const harmless = ["GET", "HEAD"].includes(request.method ?? "GET");
  const named = Object.keys(request.headers ?? {}).some((name) => name.toLowerCase() === "authorization");
  if (harmless || named) return request;
  const answer = await fetch("/api/v1/session", { credentials: "same-origin", headers: { Accept: "application/json" } });
  // Nobody is logged in: then the API itself says what is missing.
  if (answer.ok) request.headers["X-CSRF-Token"] = (await answer.json()).csrf_token;
  return request;
}

window.addEventListener("load", () => {
  window.ui = SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    // Otherwise it asks a server of its authors what it thinks of the description.
    validatorUrl: null,
    requestInterceptor: withSession,
    displayRequestDuration: true,
  });
});
