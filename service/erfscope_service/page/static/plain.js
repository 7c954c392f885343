// The service's sentences as this page has them: they also speak to users of the command line, whose options, files and
// metrics have other names here.

import { typeset } from "/page/format.js";
import { named } from "/page/words.js";

const BUTTONS = { tiles: "Tiles", fit: "Fit", advise: "Advise", series: "Series", layers: "the list of layers" };
const buttonOf = (command) => BUTTONS[command] ?? command;

// [what a sentence has, what the page has instead]
const REPLACED = [
  [/\(`erfscope (\w+)`(?:; on the page \w+)?\)/g, (_, command) => `(the button ${buttonOf(command)})`],
  [/`?erfscope fit MODEL --object ([\d.]+)`?/g, "ask Fit for objects of $1"],
  [/`?erfscope (tiles|fit|advise|series)\b`?/g, (_, command) => `the button ${buttonOf(command)}`],
  [/\binput\.shape, --shape\b/g, "Input shape under More options"],
  [/`layers`, --layer( [^)]+)?(?=\))/g, "Layer in the form"],
  [/`--(?:tile|image) ([\d,]+)`/g, (_, sides) => sides.replaceAll(",", ", ")],
  [/\(`weights`, --weights\)/g, "(Weights under More options)"],
  [/\(--weights random\)/g, "(Weights under More options)"],
  [/--weights draws\b/g, "Weights, under More options, draws"],
  [/\(samples, --inputs( \d+)?\)/g, "(Samples in the form)"],
  [/`image` \(--image\)/g, "the size of the image"],
  [/`erfscope measure --layer NAME`/g, "a measurement of that layer"],
  [/,? with --protocol replknet alone/g, ", if Protocol names it"],
  [/`?target\.unit \{"index": \[\.\.\.\]\}`? with `?target\.layer`?/g, "choose Element as the unit and name the layer"],
  [/ \(docs\/[\w/-]+\.md\)/g, ""],
];

// What is left of a line of code is read as words.
const withoutTicks = (text) => text.replace(/`([^`]*)`/g, "$1");

export const plain = (words) =>
  typeset(withoutTicks(named(REPLACED.reduce((text, [from, to]) => text.replace(from, to), words))));
