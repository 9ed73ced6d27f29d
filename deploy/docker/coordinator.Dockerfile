# A coordinator with its private nats-server. From the checkout's root:
#   docker build -f deploy/docker/coordinator.Dockerfile -t furrow-coordinator:0.1.0 .

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
# A coordinator runs no models.
RUN npm ci --omit=dev --omit=optional --no-audit --no-fund

FROM nats:2.10.29-alpine AS nats

FROM node:20.20.2-bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/furrow --create-home --shell /usr/sbin/nologin furrow \
    && chmod 700 /var/lib/furrow \
    && ln -s /opt/furrow/dist/cli/main.js /usr/local/bin/furrow
COPY --from=nats /usr/local/bin/nats-server /usr/local/bin/nats-server
COPY --from=package /opt/furrow /opt/furrow
ENV FURROW_HOME=/var/lib/furrow NODE_ENV=production
VOLUME /var/lib/furrow
USER 10001:10001
WORKDIR /var/lib/furrow
# gRPC, HTTP, NATS
EXPOSE 7400 7401 7402
STOPSIGNAL SIGTERM
# As a client of its own: TLS, token and journal are asked, too. Replaying a long journal takes a while.
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 \
    CMD ["furrow", "status", "--quiet", "--wait-seconds", "5"]
ENTRYPOINT ["tini", "--", "furrow"]
CMD ["up", "--agents", "0"]
