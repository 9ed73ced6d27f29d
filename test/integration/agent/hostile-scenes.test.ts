/**
 * Blender files that would run something, or read and write beside their folder, opened by a real Blender as the
 * runner does it. Without Blender (deploy/setup.sh --tests installs it) there is nothing to try.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { NO_SETTINGS } from '../../../agent/runners/render/blender-run.ts';
import { renderArgs, settingsEnvironment } from '../../../agent/runners/render/blender.ts';
import { FAULT_MARK, SCENE_MARK } from '../../../agent/runners/render/scene-script.ts';

const hasBlender = spawnSync('blender', ['-b', '--version'], { stdio: 'ignore' }).status === 0;

/** Makes them all in one run: `FOLDER/scenes/KIND.blend`; what they run writes `FOLDER/ran`. */
const SCENES = `
import bpy, os
folder = os.environ['FOLDER']
outside = folder + '/outside'

def modifier(kind):
    return bpy.data.objects['Cube'].modifiers.new('m', kind)

def style_module(scene, layer):
    text = bpy.data.texts.new('style.py')
    text.from_string("open(%r, 'w')" % (folder + '/ran'))
    layer.freestyle_settings.mode = 'SCRIPT'
    layer.freestyle_settings.modules.new().script = text
    draw_lines(scene, layer)

def line_set(scene, layer):
    os.chdir(folder)
    sets = layer.freestyle_settings.linesets
    lines = sets[0] if len(sets) else sets.new('x')
    lines.name = chr(92) + chr(39) + '+str(open("../ran","w")))#'
    draw_lines(scene, layer)

def draw_lines(scene, layer):
    scene.render.use_freestyle = layer.use_freestyle = True

def strip(scene, layer):
    scene.sequence_editor_create().sequences.new_image('s', outside + '/strip.png', 1, 1)

def material(kind):
    made = bpy.data.materials.new('m')
    made.use_nodes = True
    bpy.data.objects['Cube'].data.materials.append(made)
    return made.node_tree.nodes.new(kind)

def light(scene, layer):
    node = material('ShaderNodeTexIES')
    node.mode, node.filepath = 'EXTERNAL', outside + '/light.ies'

def tiles(scene, layer):
    image = bpy.data.images.new('u', 8, 8, tiled=True)
    image.filepath, image.source = outside + '/u.<UDIM>.png', 'TILED'
    material('ShaderNodeTexImage').image = image

def mesh_cache(scene, layer):
    modifier('MESH_CACHE').filepath = outside + '/cache.pc2'

def fluid(scene, layer):
    domain = modifier('FLUID')
    domain.fluid_type = 'DOMAIN'
    domain.domain_settings.cache_directory = outside + '/fluid'

def particles(scene, layer):
    modifier('PARTICLE_SYSTEM')
    cache = bpy.data.objects['Cube'].particle_systems[0].point_cache
    cache.use_external, cache.filepath = True, outside + '/points'

def pictures(scene, layer):
    for make in (strip, light, tiles):
        make(scene, layer)

def caches(scene, layer):
    for make in (mesh_cache, fluid, particles):
        make(scene, layer)

def texts(scene, layer):
    bpy.data.texts.new('t').filepath = outside + '/t.py'
    brush = bpy.data.brushes['Add']
    brush.use_custom_icon, brush.icon_filepath = True, outside + '/icon.png'

for make in (style_module, line_set, pictures, caches, texts):
    bpy.ops.wm.read_factory_settings()
    scene = bpy.context.scene
    scene.render.engine = 'CYCLES'
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    scene.render.resolution_x, scene.render.resolution_y = 32, 24
    make(scene, scene.view_layers[0])
    file = '%s/scenes/%s.blend' % (folder, make.__name__)
    bpy.ops.wm.save_as_mainfile(filepath=file, relative_remap=False)
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-scenes-'));
  mkdirSync(join(folder, 'scenes'));
  if (!hasBlender) return;
  const env = { ...process.env, FOLDER: folder };
  const args = ['-b', '--factory-startup', '--python-exit-code', '9', '--python-expr', SCENES];
  execFileSync('blender', args, { env, stdio: 'ignore' });
  // A fluid's folder is there as soon as it is named.
  rmSync(join(folder, 'outside'), { recursive: true, force: true });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The lines that are meant for the runner. */
function render(kind: string): readonly string[] {
  const [output, settings] = [join(folder, 'scenes'), { ...NO_SETTINGS }];
  const path = join(output, `${kind}.blend`);
  const { stdout } = spawnSync('blender', renderArgs(path, settings, 1, { frames: [1], output }), {
    cwd: output,
    env: { ...process.env, ...settingsEnvironment(path, settings) },
    encoding: 'utf8',
  });
  return stdout
    .split('\n')
    .filter((line) => [FAULT_MARK, SCENE_MARK].some((m) => line.startsWith(m)));
}

test.skipIf(!hasBlender).each([
  ['style_module', 'its scene Scene draws lines by scripts: choose the Parameter Editor'],
  ['line_set', 'is no name for what Freestyle draws: use no quotes and no backslash'],
  ['pictures', 'machine: OUT/light.ies, OUT/strip.png, OUT/u.<UDIM>.png'],
  ['caches', 'machine: OUT/cache.pc2, OUT/fluid, OUT/points'],
])('%s is refused, and nothing of it has run', (kind, fault) => {
  expect(render(kind)).toEqual([
    expect.stringContaining(fault.replaceAll('OUT', join(folder, 'outside'))),
  ]);
  for (const trace of ['ran', 'outside']) expect(existsSync(join(folder, trace))).toBe(false);
});

test.skipIf(!hasBlender)(
  'a text and an icon that lie elsewhere are no files that a frame needs',
  () => {
    expect(render('texts')).toEqual([expect.stringContaining('"engine": "CYCLES"')]);
    expect(existsSync(join(folder, 'scenes', 'frame-000001.png'))).toBe(true);
  },
);
