/** The recipe `check-model`: a model is run once on a made picture, by each provider that is asked for. */
import type { StepSpec } from '../domain/task.ts';
import { faultOfProvider, withModel } from './model-demand.ts';
import { type ChosenModel, chooseModel, type KnownModels } from './models.ts';
import { demand, invalid, isWhole, keptOutput, type RecipePlan, stallsAfter } from './recipe.ts';

export interface CheckModelRequest {
  /** The farm's name of it. */
  readonly model: string;
  /** Empty for cpu alone. */
  readonly providers: readonly string[];
  /** Name of an agent; empty for any. */
  readonly agent: string;
  /** 0 for what the model wants. */
  readonly width: number;
  readonly height: number;
}

const MAX_SIDE = 8192;

export function checkModelSteps(request: CheckModelRequest, models: KnownModels): RecipePlan {
  const model = chooseModel(models, request.model, 'upscale', 'interpolate', 'detect', 'classify');
  if (model.state === 'invalid') return model;
  const providers = [...new Set(request.providers.length === 0 ? ['cpu'] : request.providers)];
  for (const [side, length] of Object.entries({ width: request.width, height: request.height })) {
    if (!isWhole(length, 0, MAX_SIDE))
      return invalid(`${side} ${length} is not from 0 to ${MAX_SIDE}`);
  }
  for (const provider of providers) {
    const fault = provider === '' ? 'a provider has no name' : faultOfProvider(provider);
    if (fault !== undefined) return invalid(fault);
  }
  return { state: 'ok', steps: providers.map((provider) => checkStep(provider, model, request)) };
}

function checkStep(
  provider: string,
  model: ChosenModel,
  { agent, width, height }: CheckModelRequest,
): StepSpec {
  const attributes = agent === '' ? [] : [`agent:${agent}`];
  return {
    name: `check-${provider}`,
    dependsOn: [],
    parameters: undefined,
    task: {
      kind: { $case: 'checkModel', value: { use: { model: model.unit, provider }, width, height } },
    },
    inputs: [model.input],
    outputs: [keptOutput(`check-${provider}.json`)],
    demand: withModel(demand(1000, 0, 0, attributes), model, provider),
    // What a model that does not work says is the same the second time; loading a large one takes a while.
    limits: { ...stallsAfter(600_000), maxAttempts: 1 },
  };
}
