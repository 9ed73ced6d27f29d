/** A real Blender on a real farm. Without Blender (deploy/setup.sh --tests installs it) there is nothing to try. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { listUnits } from '../support/farm-jobs.ts';

const hasBlender = spawnSync('blender', ['-b', '--version'], { stdio: 'ignore' }).status === 0;
if (!hasBlender) console.warn('no Blender here: rendering is not tested (deploy/setup.sh --tests)');

/** A cube that turns, three frames; `KIND` says what is wrong with it. */
const SCENE = `
import bpy, os
kind, folder = os.environ['KIND'], os.environ['FOLDER']
scene = bpy.context.scene
cube = bpy.data.objects['Cube']
cube.keyframe_insert('rotation_euler', frame=1)
cube.rotation_euler = (0, 0, 1)
cube.keyframe_insert('rotation_euler', frame=3)
material = bpy.data.materials.new('wood')
material.use_nodes = True
cube.data.materials.clear()
cube.data.materials.append(material)
if kind == 'textured':
    image = bpy.data.images.load(folder + '/wood.png')
    image.filepath = '//textures/wood.png'
    nodes = material.node_tree
    texture = nodes.nodes.new('ShaderNodeTexImage')
    texture.image = image
    nodes.links.new(texture.outputs[0], nodes.nodes['Principled BSDF'].inputs[0])
if kind == 'scripted':
    text = bpy.data.texts.new('run.py')
    text.use_module = True
    text.from_string("open(%r, 'w').write('ran')" % (folder + '/script-ran'))
    scene.use_nodes = True
    out = scene.node_tree.nodes.new('CompositorNodeOutputFile')
    out.base_path = folder + '/written'
    layers = [n for n in scene.node_tree.nodes if n.type == 'R_LAYERS'][0]
    scene.node_tree.links.new(layers.outputs[0], out.inputs[0])
scene.render.engine = 'CYCLES'
scene.cycles.samples = 2
scene.cycles.use_denoising = False
scene.render.resolution_x, scene.render.resolution_y = 65, 48
scene.frame_start, scene.frame_end = 1, 3
bpy.ops.wm.save_as_mainfile(filepath='%s/%s.blend' % (folder, kind), relative_remap=False)
`;

function makeScene(farm: TestFarm, kind: 'plain' | 'textured' | 'scripted'): string {
  const folder = farm.workDir;
  const wood = [
    '-f',
    'lavfi',
    '-i',
    'testsrc2=s=32x32',
    '-frames:v',
    '1',
    join(folder, 'wood.png'),
  ];
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...wood]);
  execFileSync('blender', ['-b', '--factory-startup', '--python-expr', SCENE], {
    env: { ...process.env, KIND: kind, FOLDER: folder },
    stdio: 'ignore',
  });
  return join(folder, `${kind}.blend`);
}

/** MD5 of each frame's pixels. */
function pixels(...input: readonly string[]): readonly string[] {
  const args = ['-v', 'error', ...input, '-pix_fmt', 'rgb24', '-fps_mode', 'passthrough'];
  const text = execFileSync('ffmpeg', [...args, '-f', 'framemd5', '-'], { encoding: 'utf8' });
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(',').at(-1)!.trim());
}

test.skipIf(!hasBlender)(
  'frames on two agents are those of one Blender, and the film has each once',
  async () => {
    const farm = await startFarm({
      agents: { one: ['--cpus', '1'], two: ['--cpus', '1'] },
      mediaTools: 'all',
    });
    const scene = makeScene(farm, 'plain');
    const out = join(farm.workDir, 'out');
    mkdirSync(out);
    const { code, stderr } = await farm.furrow(
      'submit',
      'render',
      scene,
      '--cpus',
      '1',
      '-o',
      `${out}/`,
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const frames = ['frame-000001.png', 'frame-000002.png', 'frame-000003.png'];
    expect(readdirSync(out).sort()).toEqual([...frames, 'plain.mp4', 'proof.json'].sort());
    const direct = join(farm.workDir, 'direct');
    mkdirSync(direct);
    const args = ['-b', '--factory-startup', '-Y', scene, '-o', `${direct}/frame-######`];
    execFileSync('blender', [...args, '-F', 'PNG', '-s', '1', '-e', '3', '-a'], {
      stdio: 'ignore',
    });
    for (const name of frames) {
      expect(pixels('-i', join(out, name))).toEqual(pixels('-i', join(direct, name)));
    }
    const shown = pixels('-i', join(out, 'plain.mp4'));
    expect(new Set(shown).size).toBe(3);
    expect(JSON.parse(readFileSync(join(out, 'proof.json'), 'utf8'))).toMatchObject({ ok: true });
    const units = await listUnits(farm, 'j1');
    expect(new Set(units.map(({ agentName }) => agentName))).toEqual(new Set(['one', 'two']));
  },
);

test.skipIf(!hasBlender)(
  'a texture that is missing is named, and found where it is given; what is in the file runs nothing and writes nowhere',
  async () => {
    const farm = await startFarm({ agents: { one: ['--cpus', '2'] }, mediaTools: 'all' });
    const textured = makeScene(farm, 'textured');
    const line = ['submit', 'render', textured, '--frames', '2', '--frames-only'];
    const without = await farm.furrow(...line, '--watch');
    expect(without.code).not.toBe(0);
    expect(without.stderr).toContain(
      'textured.blend: files that it names are missing: textures/wood.png (give them with --asset',
    );
    mkdirSync(join(farm.workDir, 'textures'));
    const wood = join(farm.workDir, 'textures', 'wood.png');
    writeFileSync(wood, readFileSync(join(farm.workDir, 'wood.png')));
    expect(await farm.furrow(...line, '--asset', wood, '--watch')).toMatchObject({ code: 0 });

    const scripted = makeScene(farm, 'scripted');
    const run = await farm.furrow('submit', 'render', scripted, '--frames-only', '--watch');
    expect(run).toMatchObject({ code: 0 });
    for (const left of ['script-ran', 'written']) {
      expect(readdirSync(farm.workDir)).not.toContain(left);
    }
    const broken = join(farm.workDir, 'broken.blend');
    writeFileSync(broken, readFileSync(textured).subarray(0, 3000));
    const damaged = await farm.furrow('submit', 'render', broken, '--watch');
    expect(damaged.stderr).toContain('broken.blend is damaged, or no Blender file');
  },
);

test('where no agent has Blender, the farm says so', async () => {
  const programs = mkdtempSync(join(tmpdir(), 'furrow-programs-'));
  onTestFinished(() => rmSync(programs, { recursive: true, force: true }));
  linkAllBut('blender', programs);
  const farm = await startFarm({
    agents: { bare: ['--cpus', '1'] },
    mediaTools: 'all',
    agentEnvironment: { PATH: programs },
  });
  const scene = join(farm.workDir, 'a.blend');
  writeFileSync(scene, 'BLENDER');
  const { code, stderr } = await farm.furrow('submit', 'render', scene);
  expect({ code, stderr: stderr.trim() }).toEqual({
    code: 7,
    stderr:
      'furrow: step scan needs tool:blender, which no agent has: install it on one, and start that agent again',
  });
});

/** Makes `folder` a PATH on which there is all that there is, but for one program. */
function linkAllBut(program: string, folder: string): void {
  const names = new Set([program]);
  for (const from of (process.env['PATH'] ?? '').split(delimiter)) {
    if (!existsSync(from)) continue;
    for (const name of readdirSync(from)) {
      if (!names.has(name)) symlinkSync(join(from, name), join(folder, name));
      names.add(name);
    }
  }
}
