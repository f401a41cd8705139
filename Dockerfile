# Penstock as an image: the command line is its entry point, and a worker what it runs where nothing else is asked for.
# PostgreSQL and Temporal are given by address; the embedded ones are not in it.

FROM node:20-bookworm-slim AS build
WORKDIR /opt/penstock
COPY package.json package-lock.json ./
# Without scripts: `prepare` builds, and the sources come after the packages, which change less often.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY activities activities
COPY src src
COPY workflows workflows
RUN npm run build && chmod 755 dist/src/cli/main.js
# The optional packages are the programs of the embedded PostgreSQL, and compilers that only a build uses.
RUN npm prune --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM node:20-bookworm-slim
ENV NODE_ENV=production PENSTOCK_DATA=/var/lib/penstock
WORKDIR /opt/penstock
COPY package.json LICENSE ./
COPY --from=build /opt/penstock/node_modules node_modules
COPY --from=build /opt/penstock/dist dist
# A volume that is mounted there for the first time takes over the owner.
RUN ln -s /opt/penstock/dist/src/cli/main.js /usr/local/bin/penstock && install -d -o node -g node -m 0750 /var/lib/penstock
USER node
VOLUME /var/lib/penstock
# Healthy: the command line starts, PostgreSQL answers, and its schema is the one that this version needs.
HEALTHCHECK --interval=30s --timeout=15s --start-period=30s --retries=3 CMD ["penstock", "repository", "list", "--quiet"]
ENTRYPOINT ["penstock"]
CMD ["worker"]
