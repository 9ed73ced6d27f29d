/** What onnxruntime says of a model that it cannot load, in one line with what to do about it. Pure. */

const KNOWN: readonly (readonly [RegExp, (found: RegExpExecArray) => string])[] = [
  [
    /Unsupported model IR version: (\d+), max supported IR version: (\d+)/,
    ([, has, most]) =>
      `its file is of ONNX's IR version ${has}, and onnxruntime here knows up to ${most}: export it for an older one`,
  ],
  [
    /Opset (\d+) is under development.* is till opset (\d+)/,
    ([, has, most]) =>
      `it is of opset ${has}, and onnxruntime here knows up to ${most}: export it with an older opset`,
  ],
  [
    /external (?:data|tensor)/i,
    () =>
      'its weights lie in a file of their own, which jobs do not carry: save it with the weights inside',
  ],
  [
    /(\S+)\(-?\d+\) is not a registered function\/op/,
    ([, operation]) =>
      `it needs the operation ${operation}, which onnxruntime has not: export it without`,
  ],
];

/** Where in onnxruntime's source it was said. */
const PLACE = /[^\s:]*onnxruntime_src\/\S+:\d+ .*?\)(?: const)? /gs;

export function loadFault(said: string): string {
  for (const [pattern, words] of KNOWN) {
    const found = pattern.exec(said);
    if (found !== null) return words(found);
  }
  const plain = said.replaceAll(PLACE, '').replace(/\s*\.?\s*$/, '');
  return `${plain}; give a whole ONNX file that onnxruntime can run`;
}
