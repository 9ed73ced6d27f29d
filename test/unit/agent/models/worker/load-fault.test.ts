import { expect, test } from 'vitest';
import { loadFault } from '../../../../../agent/models/worker/load-fault.ts';

// As onnxruntime 1.30 says it.
const PLACE =
  'Load model from model.onnx failed:/onnxruntime_src/onnxruntime/core/graph/model.cc:202 onnxruntime::Model::Model(onnx::ModelProto&&, const onnxruntime::PathString&, const onnxruntime::ModelOptions&) ';

test.each([
  [
    `${PLACE}Unsupported model IR version: 99, max supported IR version: 13\n`,
    /IR version 99, .* up to 13: export it for an older one$/,
  ],
  [
    'failed:/onnxruntime_src/onnxruntime/core/graph/model_load_utils.h:46 void onnxruntime::model_load_utils::ValidateOpsetForDomain(const std::unordered_map<std::__cxx11::basic_string<char>, int>&, int) ONNX Runtime only *guarantees* support. Opset 99 is under development and support for this is limited. Current official support for domain ai.onnx is till opset 26.\n',
    /^it is of opset 99, .* up to 26: export it with an older opset$/,
  ],
  [
    'External data path validation failed for initializer: w. External data path does not exist: "/agents/box/models/1/w.data"',
    /^its weights lie in a file of their own.*save it with the weights inside$/,
  ],
  [
    'Load model from model.onnx failed:Node () Op (Resize) [ShapeInferenceError] Cannot parse data from external tensors. Please load external data into raw data for tensor: sc',
    /^its weights lie in a file of their own/,
  ],
  [
    'Load model from model.onnx failed:Fatal error: com.acme:Frobnicate(-1) is not a registered function/op',
    /^it needs the operation com.acme:Frobnicate, /,
  ],
  [`${PLACE}It is odd.\n`, /^Load model from model.onnx failed:It is odd; give a whole ONNX file/],
])('%s', (said, expected) => {
  expect(loadFault(said)).toMatch(expected);
});
