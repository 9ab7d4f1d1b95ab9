// Bars of buttons beside code are landmarks, which need names of their own.
const nameBars = () => {
  document.querySelectorAll("nav.md-code__nav").forEach((bar, i) => bar.setAttribute("aria-label", `Code ${i + 1}`));
};
new MutationObserver(nameBars).observe(document.body, { childList: true, subtree: true });
nameBars();
