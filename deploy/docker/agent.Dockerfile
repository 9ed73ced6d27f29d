# An agent for machines without a GPU of NVIDIA's. From the checkout's root:
#   docker build -f deploy/docker/agent.Dockerfile -t furrow-agent:0.1.0 .

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
RUN npm ci --omit=dev --no-audit --no-fund

FROM node:20.20.2-bookworm-slim
# tini ends what units leave behind; bubblewrap walls them off where the container may do that.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bubblewrap ffmpeg tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/furrow --create-home --shell /usr/sbin/nologin furrow \
    && chmod 700 /var/lib/furrow \
    && ln -s /opt/furrow/dist/cli/main.js /usr/local/bin/furrow
COPY --chmod=755 deploy/docker/agent-alive.sh /usr/local/bin/agent-alive
COPY --from=package /opt/furrow /opt/furrow
ENV FURROW_HOME=/var/lib/furrow NODE_ENV=production
VOLUME /var/lib/furrow
USER 10001:10001
WORKDIR /var/lib/furrow
# Units get the agent's drain grace (30 s), and the agent time to hand back what is left.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["agent-alive"]
ENTRYPOINT ["tini", "--", "furrow"]
CMD ["agent"]
