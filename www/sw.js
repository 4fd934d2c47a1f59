// Keeps the page usable with no network: after the first visit it is served from this cache.
// Knows the site's own files and nothing else: any other request goes its way untouched, and only caches that
// begin with this project's prefix are ever removed, since all projects of an account share one origin on GitHub Pages.
'use strict';

const PREFIX = 'hopscope-page-';
const CACHE = PREFIX + '@build@';
const FILES = ['./', 'index.html', 'app.js', 'engine.js?@build@', 'style.css', 'icon.svg', 'manifest.webmanifest'];

self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(CACHE)
    // `no-cache`: the files must be this build's, so the server is asked; what has not changed is not sent again.
    .then((cache) => cache.addAll(FILES.map((file) => new Request(file, { cache: 'no-cache' }))))
    .then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => {
  event.waitUntil(caches.keys()
    .then((names) => Promise.all(names.filter((n) => n.startsWith(PREFIX) && n !== CACHE).map((n) => caches.delete(n))))
    .then(() => self.clients.claim()));
});

self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== 'GET' || url.origin !== self.location.origin) return;
  const scope = new URL('./', self.location.href).href;
  if (!url.href.startsWith(scope)) return;
  event.respondWith(caches.open(CACHE)
    .then((cache) => cache.match(event.request, { ignoreSearch: true }))
    .then((hit) => hit || fetch(event.request)));
});
