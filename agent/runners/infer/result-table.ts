/**
 * `results.parquet`, written and read a row group at a time: results may be larger than memory. Loads the library
 * for the format: import it where a table is wanted.
 */
import { appendFile, writeFile } from 'node:fs/promises';
import {
  type AsyncBuffer,
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
} from 'hyparquet';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { VERSION } from '../../../kit/version.ts';
import type { ResultLine } from './result-line.ts';
import {
  columnsOf,
  lineOfRow,
  type ResultRow,
  type RowKind,
  rowOf,
  schemaOf,
} from './result-row.ts';

/** Of a row group, at most: encoding one takes the agent's only thread, for some tenths of a second. */
const GROUP_ROWS = 5_000;
const GROUP_FINDINGS = 10_000;

export class ResultTableFile {
  readonly #kind: RowKind;
  readonly #bytes: AppendedBytes;
  readonly #writer: ParquetWriter;
  #rows: ResultRow[] = [];
  #findings = 0;

  private constructor(kind: RowKind, path: string) {
    this.#kind = kind;
    this.#bytes = new AppendedBytes(path);
    this.#writer = new ParquetWriter({
      writer: this.#bytes,
      schema: schemaOf(kind),
      createdBy: `furrow version ${VERSION}`,
    });
  }

  /** Rejects, as its methods do, with what the disk says. */
  static async create(path: string, kind: RowKind): Promise<ResultTableFile> {
    await writeFile(path, '');
    return new ResultTableFile(kind, path);
  }

  async write(line: ResultLine): Promise<void> {
    const row = rowOf(line);
    this.#rows.push(row);
    this.#findings += row.found?.length ?? 0;
    if (this.#rows.length >= GROUP_ROWS || this.#findings >= GROUP_FINDINGS) await this.#flush();
  }

  async end(): Promise<void> {
    await this.#flush();
    await this.#writer.finish();
    await this.#bytes.flush();
  }

  async #flush(): Promise<void> {
    const rows = this.#rows;
    if (rows.length === 0) return;
    this.#rows = [];
    this.#findings = 0;
    const columnData = columnsOf(this.#kind).map((name) => ({
      name,
      data: rows.map((row) => row[name]),
    }));
    await this.#writer.write({ columnData, rowGroupSize: rows.length });
  }
}

/** Bytes that go to the end of a file: after each row group, and at the end. */
class AppendedBytes extends ByteWriter {
  readonly #path: string;

  constructor(path: string) {
    super();
    this.#path = path;
  }

  async flush(): Promise<void> {
    await appendFile(this.#path, this.getBytes());
    this.index = 0;
  }
}

export class ResultTable {
  readonly #file: AsyncBuffer;
  readonly #metadata: FileMetaData;

  private constructor(file: AsyncBuffer, metadata: FileMetaData) {
    this.#file = file;
    this.#metadata = metadata;
  }

  /** Rejects when the file is none. */
  static async open(path: string): Promise<ResultTable> {
    const file = await asyncBufferFromFile(path);
    return new ResultTable(file, await parquetMetadataAsync(file));
  }

  get rows(): number {
    return Number(this.#metadata.num_rows);
  }

  /** What its rows say, in order; undefined for one that says no result. Rejects when the file is broken. */
  async *lines(): AsyncGenerator<ResultLine | undefined> {
    let rowStart = 0;
    for (const group of this.#metadata.row_groups) {
      const rowEnd = rowStart + Number(group.num_rows);
      const read = { file: this.#file, metadata: this.#metadata, rowStart, rowEnd };
      for (const row of await parquetReadObjects(read)) yield lineOfRow(row);
      rowStart = rowEnd;
    }
  }
}
