/**
 * What ffmpeg and ffprobe may do with a film that somebody else made: which protocols, containers and
 * decoders they may use, and how much they may allocate for it. Agents and the client's demo share it.
 *
 * No container of this list opens another file or a connection by itself: playlists (hls, dash, concat),
 * patterns of picture files (image2), descriptions (sdp), devices and scripts are not among them. MP4's
 * references to other files stay off, as is ffmpeg's default.
 */

/** Demuxers that a film may need. */
export const FILM_DEMUXERS: readonly string[] = [
  'mov',
  'matroska',
  'webm',
  'nut',
  'avi',
  'mpegts',
  'mpeg',
  'mpegvideo',
  'flv',
  'ogg',
  'asf',
  'mxf',
  'ivf',
  'obu',
  'yuv4mpegpipe',
  'h264',
  'hevc',
  'm4v',
  'gif',
  'dv',
  'rm',
];

/** Demuxers of files that are sound and nothing else. */
export const SOUND_DEMUXERS: readonly string[] = [
  'wav',
  'w64',
  'aiff',
  'caf',
  'flac',
  'mp3',
  'aac',
  'ac3',
  'eac3',
];

/** Demuxers of pictures that a unit made: by their bytes, never by a name. */
export const PICTURE_DEMUXERS: readonly string[] = [
  'jpeg_pipe',
  'png_pipe',
  'webp_pipe',
  'bmp_pipe',
  'tiff_pipe',
];

/** Some hundred decoders of old games and screen recorders were never tried on hostile input. */
const VIDEO_DECODERS = [
  'h264 hevc libdav1d libaom-av1 av1 vp8 vp9 libvpx libvpx-vp9 mpeg1video mpeg2video mpegvideo mpeg4',
  'msmpeg4v1 msmpeg4v2 msmpeg4 h261 h263 h263i h263p flv vp3 vp6 vp6a vp6f theora wmv1 wmv2 wmv3 vc1',
  'mjpeg webp bmp tiff prores dnxhd dvvideo cfhd jpeg2000 libopenjpeg ffv1 huffyuv ffvhuff utvideo magicyuv lagarith',
  'rawvideo v210 v308 v408 v410 r10k r210 qtrle png gif rv10 rv20 rv30 rv40 svq1 svq3 cinepak indeo3',
  'indeo4 indeo5 hap dirac msvideo1',
];
const AUDIO_DECODERS = [
  'aac aac_latm ac3 eac3 alac als amrnb amrwb ape dca flac mp1 mp1float mp2 mp2float mp3 mp3float opus',
  'libopus vorbis libvorbis speex libspeex tta truehd mlp wavpack wmav1 wmav2 wmapro wmalossless wmavoice',
  'cook sipr ralf real_144 real_288 qdm2 qdmc nellymoser g726 gsm libgsm gsm_ms libgsm_ms dvaudio s302m',
  'adpcm_ima_qt adpcm_ima_wav adpcm_ms adpcm_swf adpcm_yamaha mace3 mace6 pcm_alaw pcm_mulaw pcm_bluray',
  'pcm_dvd pcm_s8 pcm_u8 pcm_s16le pcm_s16be pcm_u16le pcm_u16be pcm_s24le pcm_s24be pcm_s32le pcm_s32be',
  'pcm_s8_planar pcm_s16le_planar pcm_s16be_planar pcm_s24le_planar pcm_s32le_planar pcm_f32le pcm_f32be',
  'pcm_f64le pcm_f64be',
];
/** They read text or small pictures; none draws letters, so that no font of a film is ever opened. */
const SUBTITLE_DECODERS = [
  'ass ssa subrip srt webvtt mov_text text pgssub dvdsub dvbsub xsub cc_dec libzvbi_teletextdec',
  'libaribb24 libaribcaption stl microdvd subviewer',
];

/** Frames beyond this are refused before memory is taken for them: 8K is 33.2 million pixels. */
export const MAX_PIXELS = 36_000_000;

/** Films with the fonts of their subtitles attached come to some hundred; each costs memory and a look. */
export const MAX_STREAMS = 500;

/**
 * The largest single block: a picture of MAX_PIXELS takes 288 MB at 64 bits a pixel, the index of a
 * two-day film 200 MB. A few bytes of an MP4 can ask for 4 GB.
 */
export const MAX_ALLOC_BYTES = 512 * 1024 * 1024;

/** ffmpeg's own defaults, said here so that no build's can be larger. */
const PROBE_BYTES = 5_000_000;
const PROBE_PACKETS = 2500;

/** Before the first input, for ffmpeg and ffprobe. */
export const MEMORY_FENCE: readonly string[] = ['-max_alloc', String(MAX_ALLOC_BYTES)];

/** Options before an input. `demuxers`: those that may open it. */
export function inputFence(demuxers: readonly string[] = FILM_DEMUXERS): readonly string[] {
  const decoders = [...VIDEO_DECODERS, ...AUDIO_DECODERS, ...SUBTITLE_DECODERS];
  return [
    ['-protocol_whitelist', 'file'],
    ['-format_whitelist', demuxers.join(',')],
    ['-codec_whitelist', decoders.join(' ').replaceAll(' ', ',')],
    ['-max_pixels', String(MAX_PIXELS)],
    ['-max_streams', String(MAX_STREAMS)],
    ['-probesize', String(PROBE_BYTES), '-max_probe_packets', String(PROBE_PACKETS)],
  ].flat();
}
