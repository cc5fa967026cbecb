/** Where the page begins. */

import { createApp } from 'vue'
import App from './App.vue'
import { readConfig } from './config'
import { Feeds, FEEDS, reconnectOnReturn } from './feed/useFeed'
import { startTheme } from './shell/theme'
import './styles/tokens.css'
import './styles/base.css'
import './styles/shell.css'
import './styles/boards.css'
import './styles/symbol.css'

const config = readConfig(document, location)
const feeds = new Feeds(config.wdsUrl)
startTheme(document.documentElement)
createApp(App, { version: config.version }).provide(FEEDS, feeds).mount('#app')
reconnectOnReturn(feeds)
feeds.connect()
