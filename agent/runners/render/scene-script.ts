/**
 * What Blender is told by `--python-expr`: constant texts. Everything that differs comes in a variable as
 * JSON, so that no word of a user's ever becomes a program. One runs before the file is opened, one after that and
 * before a frame is rendered. Scripts inside the file do not run: `-Y` keeps Blender from most, but not from Freestyle's, whose style
 * modules are Python, and whose parameter editor puts names of layers and line sets into a line of Python in which a
 * backslash ends the name. Nor from shaders in OSL, which open files by themselves.
 *
 * Prints `furrow-scene: {…}`, or `furrow-fault: …` where the file cannot be rendered as it is wanted. It keeps
 * the file from writing anywhere but to its frames, and from reading what is not among the unit's files.
 */
export const SETTINGS_VARIABLE = 'FURROW_RENDER';
export const SCENE_MARK = 'furrow-scene:';
export const FAULT_MARK = 'furrow-fault:';
/** Blender's exit code when the script fails; without it a script's error ends as success. */
export const SCRIPT_FAILED = 7;

/** What both begin with. */
const PATHS = `
import bpy, json, os

wanted = json.loads(os.environ['${SETTINGS_VARIABLE}'])

def refuse(text):
    print('${FAULT_MARK} ' + text, flush=True)
    raise RuntimeError(text)

def caches():
    for scene in bpy.data.scenes:
        if scene.rigidbody_world is not None and scene.rigidbody_world.point_cache is not None:
            yield scene.library, scene.rigidbody_world.point_cache
    for item in bpy.data.objects:
        owners = list(item.modifiers) + list(item.particle_systems)
        for canvas in (getattr(owner, 'canvas_settings', None) for owner in item.modifiers):
            owners += list(canvas.canvas_surfaces) if canvas is not None else []
        for cache in (getattr(owner, 'point_cache', None) for owner in owners):
            if cache is not None:
                yield item.library, cache

def all_paths():
    ours = [bpy.utils.blend_paths(absolute=whole, packed=False, local=False) for whole in (False, True)]
    yield from zip(*ours)
    for library, cache in caches():
        if cache.use_external and cache.filepath:
            yield cache.filepath, bpy.path.abspath(cache.filepath, library=library)

# No frame needs these, and they may name what lies elsewhere; texts are scripts besides.
def forget_rest():
    for text in list(bpy.data.texts):
        bpy.data.texts.remove(text)
    for brush in bpy.data.brushes:
        brush.icon_filepath = ''

def refuse_outside():
    forget_rest()
    root = os.path.realpath(os.path.dirname(wanted['file']))
    outside = [path for path, full in all_paths() if not os.path.realpath(full).startswith(root + os.sep)]
    if outside:
        refuse('it names files by paths of another machine: %s' % ', '.join(sorted(set(outside))[:5]))
`;

/**
 * Runs before the file is opened, for Blender evaluates what it opens before any script may look, and a fluid would
 * have written its cache by then, wherever the file says. What is only linked is not evaluated.
 */
export const LOOK_SCRIPT = `${PATHS}
try:
    with bpy.data.libraries.load(wanted['file'], link=True) as (inside, linked):
        linked.scenes, linked.objects = list(inside.scenes), list(inside.objects)
except (OSError, RuntimeError):
    # Whatever it is, no Blender file: that is said when it is opened.
    pass
refuse_outside()
`;

export const SCENE_SCRIPT = `${PATHS}
scene = bpy.context.scene

def files():
    for image in bpy.data.images:
        if image.users > 0 and image.source in {'FILE', 'SEQUENCE', 'MOVIE'} and not image.packed_files:
            yield image, image.filepath
    for kind in ('libraries', 'movieclips', 'sounds', 'volumes', 'cache_files', 'fonts'):
        for item in getattr(bpy.data, kind, ()):
            if kind == 'libraries' or item.users > 0:
                if getattr(item, 'packed_file', None) is None and item.filepath != '<builtin>':
                    yield item, item.filepath

def refuse_missing():
    root = os.path.realpath(os.path.dirname(bpy.data.filepath))
    paths = (bpy.path.abspath(path, library=item.library) for item, path in files() if path != '')
    missing = [os.path.relpath(full, root) for full in map(os.path.realpath, paths) if not os.path.exists(full)]
    if missing:
        refuse('files that it names are missing: %s' % ', '.join(sorted(set(missing))[:5]))

def refuse_scripts():
    for each in bpy.data.scenes:
        for layer in each.view_layers:
            freestyle = layer.freestyle_settings
            if not each.render.use_freestyle or not layer.use_freestyle:
                continue
            if freestyle.mode == 'SCRIPT':
                refuse('its scene %s draws lines by scripts: choose the Parameter Editor of Freestyle' % each.name)
            for name in [layer.name] + [lines.name for lines in freestyle.linesets]:
                if not name.isprintable() or {34, 39, 92} & set(map(ord, name)):
                    refuse('%s is no name for what Freestyle draws: use no quotes and no backslash' % ascii(name))
        if each.render.engine == 'CYCLES' and getattr(each.cycles, 'shading_system', False):
            refuse('its scene %s uses Open Shading Language, whose scripts do not run on a farm' % each.name)

def silence_writers():
    trees = [s.node_tree for s in bpy.data.scenes if s.node_tree] + list(bpy.data.node_groups)
    for tree in trees:
        for node in tree.nodes:
            if node.type == 'OUTPUT_FILE':
                node.mute = True

def use_gpus():
    preferences = bpy.context.preferences.addons['cycles'].preferences
    for kind in ('OPTIX', 'CUDA', 'HIP', 'METAL', 'ONEAPI'):
        try:
            preferences.compute_device_type = kind
        except TypeError:
            continue
        preferences.get_devices()
        if any(device.type == kind for device in preferences.devices):
            for device in preferences.devices:
                device.use = device.type == kind
            scene.cycles.device = 'GPU'
            return
    refuse('Cycles finds no GPU on this machine that it can use')

def settle():
    render = scene.render
    if wanted['engine']:
        engines = {'cycles': 'CYCLES', 'eevee': 'BLENDER_EEVEE', 'workbench': 'BLENDER_WORKBENCH'}
        try:
            render.engine = engines[wanted['engine']]
        except TypeError:
            refuse('this Blender has no engine %s' % wanted['engine'])
    if wanted['width'] or wanted['height']:
        render.resolution_percentage = 100
    if wanted['width']:
        render.resolution_x = wanted['width']
    if wanted['height']:
        render.resolution_y = wanted['height']
    if wanted['samples'] and render.engine == 'CYCLES':
        scene.cycles.samples = wanted['samples']
    if wanted['samples'] and render.engine == 'BLENDER_EEVEE':
        scene.eevee.taa_render_samples = wanted['samples']
    if render.engine == 'CYCLES':
        scene.cycles.device = 'CPU'
    if wanted['gpu']:
        if render.engine != 'CYCLES':
            refuse('its engine is %s: only cycles renders on the GPUs of a farm' % render.engine)
        use_gpus()
    render.image_settings.file_format = {'png': 'PNG', 'jpeg': 'JPEG', 'exr': 'OPEN_EXR'}[wanted['format']]
    render.use_file_extension = True
    render.use_overwrite = True
    render.use_placeholder = False

def main():
    if wanted['scene'] and scene.name != wanted['scene']:
        names = ', '.join(s.name for s in bpy.data.scenes)
        refuse('it has no scene %s: there is %s' % (json.dumps(wanted['scene'], ensure_ascii=False), names))
    strips = scene.sequence_editor.sequences_all if scene.sequence_editor else []
    if scene.camera is None and not (scene.render.use_sequencer and strips):
        refuse('its scene %s has no camera' % scene.name)
    refuse_scripts()
    refuse_outside()
    refuse_missing()
    silence_writers()
    settle()
    render = scene.render
    share = render.resolution_percentage / 100
    print('${SCENE_MARK} ' + json.dumps({
        'name': scene.name, 'first': scene.frame_start, 'last': scene.frame_end, 'step': scene.frame_step,
        'frameRate': [render.fps, render.fps_base], 'engine': render.engine,
        'width': int(render.resolution_x * share), 'height': int(render.resolution_y * share),
        'hasBorder': render.use_border and render.use_crop_to_border,
    }), flush=True)

main()
`;
