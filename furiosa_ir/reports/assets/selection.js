// One layer is selected, in all views; with two programs, the layer of the same name in each.

const selection = { layers: PROGRAMS.map(() => null), watchers: [] };
const namesOf = PROGRAMS.map((program) => new Map(program.layers.map((layer) => [layer.name, layer.index])));

/** Calls a function whenever another layer is selected. */
function onSelection(watcher) {
  selection.watchers.push(watcher);
}

function select(program, layer, from = null) {
  const name = layer === null ? null : PROGRAMS[program].layers[layer].name;
  const chosen = PROGRAMS.map((_, other) => (other === program ? layer : name === null ? null : namesOf[other].get(name) ?? null));
  if (chosen.every((each, i) => each === selection.layers[i])) return;
  selection.layers = chosen;
  selection.watchers.forEach((watcher) => watcher(from));
}

function clearSelection() {
  select(0, null);
  if (PROGRAMS.length > 1) select(1, null);
}

/** The first program that has the selected layer, and that layer. */
function selected() {
  const program = selection.layers.findIndex((layer) => layer !== null);
  return program < 0 ? null : { program: PROGRAMS[program], layer: PROGRAMS[program].layers[selection.layers[program]] };
}
