/** Reads a manifest as a player does, for the proof; written apart from what writes it. Pure. */
import { FilmFault } from '../film/film-fault.ts';
import { MANIFEST_NAME } from './layout.ts';

export interface ReadRepresentation {
  readonly file: string;
  readonly attributes: ReadonlyMap<string, string>;
  /** First and last byte of header and index; undefined for text. */
  readonly header: readonly [number, number] | undefined;
  readonly index: readonly [number, number] | undefined;
}

export interface ReadManifest {
  readonly seconds: number;
  readonly representations: readonly ReadRepresentation[];
}

interface Element {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: Element[];
  text: string;
}

/** Throws FilmFault `bad-output`. */
export function readManifest(text: string): ReadManifest {
  const root = parse(text);
  const isWhole = root.attributes.get('type') === 'static';
  const profile = root.attributes.get('profiles');
  if (root.name !== 'MPD' || !isWhole || profile !== 'urn:mpeg:dash:profile:isoff-on-demand:2011') {
    throw odd('it is no MPD of whole files');
  }
  const length = /^PT(\d+\.\d+)S$/.exec(root.attributes.get('mediaPresentationDuration') ?? '');
  if (length === null) throw odd('it has no duration');
  const representations = all(root, 'Representation').map((element): ReadRepresentation => {
    const [base] = all(element, 'BaseURL');
    if (base === undefined) throw odd('a representation has no address');
    const range = (name: string, attribute: string): readonly [number, number] | undefined => {
      const said = all(element, name)[0]?.attributes.get(attribute);
      const [, from, to] = /^(\d+)-(\d+)$/.exec(said ?? '') ?? [];
      return to === undefined ? undefined : [Number(from), Number(to)];
    };
    return {
      file: base.text,
      attributes: element.attributes,
      header: range('Initialization', 'range'),
      index: range('SegmentBase', 'indexRange'),
    };
  });
  return { seconds: Number(length[1]), representations };
}

function all(element: Element, name: string): Element[] {
  return element.children.flatMap((child) => [
    ...(child.name === name ? [child] : []),
    ...all(child, name),
  ]);
}

/** Elements, attributes and text: as much of XML as a manifest needs, and nothing else is taken. */
function parse(text: string): Element {
  const part = /<\?xml [^<>]*\?>|<\/(\w+)>|<(\w+)((?:\s+[\w:]+="[^"<]*")*)\s*(\/?)>|([^<>]+)/y;
  const top: Element = { name: '', attributes: new Map(), children: [], text: '' };
  const open = [top];
  while (part.lastIndex < text.length) {
    const match = part.exec(text);
    if (match === null) throw odd('it is not XML');
    const [, closed, begun, words = '', alone, said] = match;
    const inner = open.at(-1)!;
    if (said !== undefined) inner.text += said.trim();
    if (closed !== undefined && open.pop()?.name !== closed) throw odd(`</${closed}> ends nothing`);
    if (begun === undefined) continue;
    const attributes = new Map(
      [...words.matchAll(/([\w:]+)="([^"]*)"/g)].map(([, key, value]) => [key!, value!] as const),
    );
    const element = { name: begun, attributes, children: [], text: '' };
    inner.children.push(element);
    if (alone === '') open.push(element);
  }
  const [root] = top.children;
  if (open.length !== 1 || root === undefined) throw odd('it is not whole');
  return root;
}

function odd(what: string): FilmFault {
  return new FilmFault('bad-output', `not proven: ${MANIFEST_NAME}: ${what}`);
}
