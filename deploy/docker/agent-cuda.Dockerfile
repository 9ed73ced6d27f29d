# An agent for machines with GPUs of NVIDIA's (x86-64, NVIDIA Container Toolkit). From the checkout's root:
#   docker build -f deploy/docker/agent-cuda.Dockerfile -t furrow-agent-cuda:0.1.0 .
#
# Debian with CUDA's libraries beside it, not an image of NVIDIA's: so that its ffmpeg is that of the other
# agents, and the chunks of both can be joined.

FROM node:20.20.2-bookworm-slim AS package
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN npm pack --silent --ignore-scripts=false --pack-destination /opt \
    && mkdir /opt/furrow \
    && tar -xzf /opt/furrow-*.tgz -C /opt/furrow --strip-components=1 \
    && cp package-lock.json .npmrc /opt/furrow/
WORKDIR /opt/furrow
# The second line fetches ONNX Runtime's CUDA provider, which is in no package: it needs the network.
RUN npm ci --omit=dev --no-audit --no-fund \
    && ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install.js

FROM nvidia/cuda:12.6.3-cudnn-runtime-ubuntu22.04 AS cuda

FROM node:20.20.2-bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bubblewrap ffmpeg tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/furrow --create-home --shell /usr/sbin/nologin furrow \
    && chmod 700 /var/lib/furrow \
    && ln -s /opt/furrow/dist/cli/main.js /usr/local/bin/furrow
COPY --from=cuda /usr/local/cuda-12.6/targets/x86_64-linux/lib/ /opt/cuda/lib/
COPY --from=cuda /usr/lib/x86_64-linux-gnu/libcudnn*.so.9* /opt/cuda/lib/
COPY --chmod=755 deploy/docker/agent-alive.sh /usr/local/bin/agent-alive
COPY --from=package /opt/furrow /opt/furrow
# `video` brings NVENC, `utility` nvidia-smi.
ENV FURROW_HOME=/var/lib/furrow NODE_ENV=production LD_LIBRARY_PATH=/opt/cuda/lib \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
VOLUME /var/lib/furrow
USER 10001:10001
WORKDIR /var/lib/furrow
# Units get the agent's drain grace (30 s), and the agent time to hand back what is left.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["agent-alive"]
ENTRYPOINT ["tini", "--", "furrow"]
CMD ["agent"]
