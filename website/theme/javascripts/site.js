// Bars of buttons beside code are landmarks, which need names of their own; what scrolls has to be reached by keys.
const forReaders = () => {
  document.querySelectorAll("nav.md-code__nav").forEach((bar, i) => bar.setAttribute("aria-label", `Code ${i + 1}`));
  document.querySelectorAll(".md-typeset__scrollwrap").forEach((wrap) => wrap.setAttribute("tabindex", "0"));
};
new MutationObserver(forReaders).observe(document.body, { childList: true, subtree: true });
forReaders();
