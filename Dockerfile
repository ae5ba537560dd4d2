# The image of the EnergeX Cache Service: docs/deployment.md says how it is built and run, `npm run check:image` tries it.
# Any Debian with Node 22.18 or newer and npm can be the base; name it with its digest where builds must repeat.
ARG NODE_IMAGE=docker.io/library/node:24.21.0-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY client client
COPY dashboard dashboard
RUN npm exec --no -- tsc -p tsconfig.build.json && npm run build:dashboard

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts

# All that the image holds, in two trees: /image/system changes with the base, /image/app with the service.
FROM ${NODE_IMAGE} AS assembly
RUN apt-get update \
 && apt-get install -y --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/*
COPY deploy/image/assemble.sh /tmp/assemble.sh
COPY --from=dependencies /app/node_modules /image/app/node_modules
COPY --from=build /app/dist /image/app/dist
COPY package.json deploy/image/healthcheck.js /image/app/
COPY lua /image/app/lua
COPY migrations /image/app/migrations
ARG SOURCE_DATE_EPOCH=0
RUN sh /tmp/assemble.sh /image "${SOURCE_DATE_EPOCH}"

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="energex-cache" \
      org.opencontainers.image.description="Read-through cache service for applications whose truth lives in MySQL" \
      org.opencontainers.image.vendor="EnergeX" \
      org.opencontainers.image.licenses="LicenseRef-proprietary" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=assembly /image/system /
COPY --from=assembly /image/app /app
ENV NODE_ENV=production
WORKDIR /app
USER 65532:65532
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["/usr/local/bin/node", "/app/healthcheck.js", "/livez"]
# tini is process 1: it passes signals on from the first moment, before Node listens for them, and buries orphans.
ENTRYPOINT ["/usr/bin/tini", "--", "/usr/local/bin/node", "/app/dist/main.js"]
CMD ["serve"]
