/**
 * A film by an encoder of hardware, and by one of software where that fails in the middle. No machine of the tests has
 * such an encoder: a script before the real ffmpeg plays one with libx264, and breaks when a test says so.
 */
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { JobState } from '../../proto/gen/furrow/v1/job_service.ts';
import { Clips } from '../support/clips.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { expectExactFilm, getJob, listUnits } from '../support/farm-jobs.ts';

/** The card fails at one piece, wherever it is encoded; trials of it go on to work. */
const FFMPEG = `#!/bin/bash
folder=$(dirname "$0")
PATH=\${PATH#"$folder:"}
[[ "$*" != *-encoders* ]] || echo ' V....D h264_amf             a card of this test'
[[ "$*" == *h264_amf* ]] || exec ffmpeg "$@"
if [[ -f $folder/broken && "$*" == *piece-00002* ]]; then
  echo '[h264_amf @ 0x1] CreateComponent(AMFVideoEncoderVCE_AVC) failed with error 30' >&2
  exit 187
fi
args=()
while (($# > 0)); do
  case $1 in
    h264_amf) args+=(libx264 -preset ultrafast) ;;
    -quality | -rc | -qp_p) shift ;;
    -qp_i) args+=(-crf "$2"); shift ;;
    *) args+=("$1") ;;
  esac
  shift
done
exec ffmpeg "\${args[@]}"
`;

/** Four seconds of it. */
const FRAMES = 100;

let clips: Clips;
let clip: string;
beforeAll(async () => {
  clips = await Clips.open();
  clip = await clips.path('closed-gop');
  return () => clips.close();
});

async function startWithCard(): Promise<{ farm: TestFarm; tools: string }> {
  const tools = join(clips.directory, 'tools');
  mkdirSync(tools, { recursive: true });
  writeFileSync(join(tools, 'ffmpeg'), FFMPEG);
  chmodSync(join(tools, 'ffmpeg'), 0o755);
  onTestFinished(() => rmSync(join(tools, 'broken'), { force: true }));
  const PATH = [tools, process.env['PATH']].join(delimiter);
  const farm = await startFarm({
    mediaTools: 'ffmpeg',
    agents: { one: [], two: [] },
    agentEnvironment: { PATH },
  });
  return { farm, tools };
}

const asked = ['--film', 'film.mp4', '--piece-seconds', '1'];

test('a film by the card that all agents have; when it fails in the middle, all of it by software', async () => {
  const { farm, tools } = await startWithCard();
  const line = ['submit', clip, '--encoder', 'auto', ...asked];

  const plan = await farm.furrow(...line, '--dry-run');
  const chosen =
    'auto is h264_amf: all 2 agents that may take the job have it; libx264 does the film if it fails';
  expect(plan.stdout.replaceAll(/\s+/g, ' ')).toContain(chosen);

  const well = await farm.furrow(...line, '--watch', '--json');
  expect({ code: well.code, stderr: well.stderr }).toEqual({ code: 0, stderr: '' });
  expect(well.stdout).toContain(chosen);
  const first = await getJob(farm, 'j1');
  expect(first).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, reason: '' });
  const pieces = (await listUnits(farm, 'j1', 'encode')).length;
  expect(pieces).toBeGreaterThan(2);
  // What is not needed takes no unit.
  expect(await listUnits(farm, 'j1', 'encode-software')).toEqual([]);
  await expectExactFilm(farm, first, FRAMES);
  const proof = await farm.furrow('proof', 'j1');
  expect(proof.stdout).toMatch(/^encoder +h264_amf$/m);
  expect(proof.stdout).not.toContain('fallback');

  writeFileSync(join(tools, 'broken'), '');
  const broken = await farm.furrow(...line, '--watch');
  const why =
    /in place of encode: j2\/encode\/2 failed after 3 attempts: encoding piece-00002\S* with h264_amf: .*failed with error 30/;
  expect(broken.code).toBe(0);
  expect(broken.stdout + broken.stderr).toMatch(why);
  const second = await getJob(farm, 'j2');
  expect(second).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED });
  expect(second.reason).toMatch(why);
  expect(await listUnits(farm, 'j2', 'encode-software')).toHaveLength(pieces);
  await expectExactFilm(farm, second, FRAMES);
  const fallen = await farm.furrow('proof', 'j2', '--json');
  expect(JSON.parse(fallen.stdout)).toMatchObject({
    ok: true,
    proofs: [
      {
        facts: {
          encoder: 'libx264',
          fallback: expect.stringMatching(/^in place of h264_amf: j2\/encode\/2 failed after 3 /),
        },
      },
    ],
  });
}, 300_000);
